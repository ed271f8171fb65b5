"""`shipkeeper upgrade versions|plan`: nothing is changed."""

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from shipkeeper.cli.flags import CURRENT, Cluster, Output
from shipkeeper.cli.output import show
from shipkeeper.errors import EXIT_FINDINGS
from shipkeeper.kube.connection import connect
from shipkeeper.kube.reader import Reader
from shipkeeper.upgrade.catalog import catalog
from shipkeeper.upgrade.observe import observe_versions
from shipkeeper.upgrade.versions import violations
from shipkeeper.upgrade.versions_report import versions_report

Pinned = Annotated[
    bool,
    Parameter(help="Controllers reach the API server of their own host alone, as kubeadm has it."),
]


async def versions(
    *, pinned_controllers: Pinned = False, output: Output = None, cluster: Cluster = CURRENT
) -> int:
    """Show what runs where, until when it is supported, and what breaks the skew policy now.

    Exit code 4 if something breaks it.
    """
    async with connect(cluster.options()) as connection:
        seen = await observe_versions(Reader(connection))
    broken = violations(seen, shared=not pinned_controllers)
    show(versions_report(seen, broken, catalog(), datetime.now(UTC).date()), output)
    return EXIT_FINDINGS if broken else 0
