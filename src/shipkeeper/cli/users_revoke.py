"""`shipkeeper users revoke`: take back what somebody logs in with, as far as anybody can."""

from typing import Annotated

from cyclopts import Parameter

from shipkeeper.cli.flags import CURRENT, Cluster, DryRun
from shipkeeper.cli.output import say
from shipkeeper.errors import IncompleteError, UsageError
from shipkeeper.kube.connection import connect
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer
from shipkeeper.users.create import How
from shipkeeper.users.revoke import plan_revocation
from shipkeeper.users.revoke import revoke as take_back


async def revoke(
    name: str,
    /,
    *,
    how: Annotated[How, Parameter(help="What they prove by who they are.")],
    namespace: Annotated[
        str, Parameter(name=("--namespace", "-n"), help="The namespace of a ServiceAccount.")
    ] = "default",
    account: Annotated[
        bool, Parameter(help="Delete the ServiceAccount, too: every token of it ends.")
    ] = False,
    dry_run: DryRun = "none",
    cluster: Cluster = CURRENT,
) -> None:
    """End the tokens of a ServiceAccount, or take a certificate's user out of all bindings.

    Nobody can take a client certificate back: exit code 3, and what is left to do is said.
    """
    if account and how == "certificate":
        raise UsageError(
            "a certificate belongs to no ServiceAccount",
            reason="NoAccount",
            hint="leave --account out",
        )
    async with connect(cluster.options()) as connection:
        found = await plan_revocation(name, how, namespace, Reader(connection), account=account)
        for line in found.words():
            say(line)
        if found.is_empty:
            say(f"nothing of {name} is there to be taken back")
        if dry_run != "client":
            await take_back(found, Writer(connection, dry_run=dry_run == "server"))
    if how == "certificate":
        raise IncompleteError(
            f"a certificate of {name} logs in until it ends, with the rights of its groups",
            reason="CannotBeRevoked",
            hint="see those groups' bindings with: shipkeeper access who-can; to shut it out at "
            "once, replace the CA that --client-ca-file names",
        )
