"""`shipkeeper users list`: who gets in, by what, how far, and until when."""

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from shipkeeper.cli.certs_hosts import SSH_TO_ALL, NodeHostFlags
from shipkeeper.cli.flags import CURRENT, Cluster, Output
from shipkeeper.cli.output import show
from shipkeeper.kube.connection import connect
from shipkeeper.users.inventory import take_inventory
from shipkeeper.users.inventory_observe import observe
from shipkeeper.users.inventory_report import inventory_report


async def list_(
    *,
    ssh: Annotated[
        bool, Parameter(help="Look at certificates and token files on the hosts, too.")
    ] = False,
    output: Output = None,
    reached: NodeHostFlags = SSH_TO_ALL,
    cluster: Cluster = CURRENT,
) -> None:
    """Show every identity: origin, what it may reach, when it ends, whether it can be revoked.

    From issued certificates, ServiceAccounts, bootstrap tokens, bindings and (with --ssh) the
    hosts' files. No token is shown, and none leaves its host. And what anonymous requests may do.
    """
    async with connect(cluster.options()) as connection:
        hosts = await reached.sites(connection) if ssh else {}
        found = await observe(connection, hosts)
    show(inventory_report(take_inventory(found), datetime.now(UTC)), output)
