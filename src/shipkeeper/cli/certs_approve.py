"""`shipkeeper certs approve`: serving certificates for kubelets, each request looked at first."""

from shipkeeper.access.certs.approve import Outcome, approve, decisions_report
from shipkeeper.cli.cordon import DRY_RUN_SUFFIX
from shipkeeper.cli.flags import CURRENT, Cluster, DryRun, Output
from shipkeeper.cli.output import say, show
from shipkeeper.errors import BlockedError
from shipkeeper.kube.connection import connect
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer
from shipkeeper.model.words import counted


async def approve_(
    *requests: str, dry_run: DryRun = "none", output: Output = None, cluster: Cluster = CURRENT
) -> None:
    """Approve pending requests of kubelets whose node, addresses and names are their Node's.

    All that are pending, or those named. What is refused stays pending, with the reason (exit code
    5): it can be denied with kubectl, or mended.
    """
    async with connect(cluster.options()) as connection:
        writer = Writer(connection, dry_run=dry_run == "server")
        found = await approve(Reader(connection), None if dry_run == "client" else writer, requests)
    show(decisions_report(found), output)
    if dry_run != "none":
        say(f"nothing was approved{DRY_RUN_SUFFIX[dry_run]}")
    refused = [each for each in found if each.outcome is not Outcome.APPROVED]
    if refused:
        raise BlockedError(
            f"{counted(len(refused), 'request')} not approved: "
            f"{', '.join(each.request for each in refused)}",
            reason="RequestRefused",
            hint="deny what is forged: kubectl certificate deny NAME",
        )
