"""`shipkeeper operator run`: the operator's process."""

import asyncio
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from shipkeeper.cli.flags import CURRENT, Cluster
from shipkeeper.cli.output import say
from shipkeeper.heap import give_back_large_blocks
from shipkeeper.operator.run import OperatorOptions, operate
from shipkeeper.paths import state_dir


async def run(
    *,
    namespace: Annotated[
        str, Parameter(name=("--namespace", "-n"), help="Where its Lease and journals are.")
    ] = "",
    node: Annotated[
        str, Parameter(help="The node that it runs on, which is done last ($NODE_NAME).")
    ] = "",
    metrics_address: Annotated[str, Parameter(help="Serve metrics at HOST:PORT.")] = "",
    cluster: Cluster = CURRENT,
) -> None:
    """Reconcile shipkeeper's custom resources until stopped; SIGTERM hands over in order."""
    options = OperatorOptions(
        connection=cluster.options(),
        namespace=namespace or os.environ.get("POD_NAMESPACE") or "shipkeeper-system",
        directory=Path(state_dir() / "operator"),
        node=node or os.environ.get("NODE_NAME", ""),
        image=os.environ.get("SHIPKEEPER_IMAGE", ""),
        metrics=metrics_address,
    )
    give_back_large_blocks()
    await until_stopped(operate(options, say))


async def until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Wait for work to end; SIGTERM has it hand over."""
    working = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    try:
        await working
    except asyncio.CancelledError:
        # A SIGTERM cancelled the work alone, and it handed over: that is a good end.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
