"""`shipkeeper operator restore`: what the Jobs of Restores run."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from shipkeeper.cli.flags import CURRENT, Cluster
from shipkeeper.cli.operator_run import until_stopped
from shipkeeper.cli.output import say
from shipkeeper.heap import give_back_large_blocks
from shipkeeper.operator.restore_process import serve_restore
from shipkeeper.operator.run import OperatorOptions
from shipkeeper.paths import state_dir


async def restore(
    name: str,
    /,
    *,
    uid: Annotated[str, Parameter(help="Its UID: another Restore of that name is left alone.")],
    namespace: Annotated[
        str, Parameter(name=("--namespace", "-n"), help="Where the operator's journals are.")
    ] = "shipkeeper-system",
    cluster: Cluster = CURRENT,
) -> None:
    """Plan a Restore, go on with it or take it back; SIGTERM stops it where it is."""
    options = OperatorOptions(
        connection=cluster.options(),
        namespace=namespace,
        directory=Path(state_dir() / "restore"),
    )
    give_back_large_blocks()
    await until_stopped(serve_restore(options, name, uid, say))
