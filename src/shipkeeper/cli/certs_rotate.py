"""`shipkeeper certs rotate-ca`: an authority replaced by a new one, stage by stage, over SSH."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from shipkeeper.access.certs.renew.leaves import Authority
from shipkeeper.access.certs.rotate import procedure
from shipkeeper.access.certs.rotate.outlook import outlook_of
from shipkeeper.access.certs.rotate.plan import PROCEDURE
from shipkeeper.access.certs.rotate.procedure import Wish
from shipkeeper.access.certs.rotate.report import stage_report
from shipkeeper.access.certs.rotate.standing import Stage
from shipkeeper.cli.certs_hosts import SSH_TO_ALL, NodeHostFlags, of_same_cluster
from shipkeeper.cli.execution import open_journal
from shipkeeper.cli.flags import CURRENT, Cluster
from shipkeeper.cli.host_runs import AS_A_TABLE, HostRunFlags
from shipkeeper.cli.output import say, write
from shipkeeper.engine.host_runs import HostRuns, last_run_at
from shipkeeper.engine.journal import Journal, Outcome
from shipkeeper.engine.progress import quiet
from shipkeeper.errors import UsageError
from shipkeeper.hosts.host import Host
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.model.duration import parse_duration


async def rotate_ca(
    authority: Authority,
    /,
    *,
    through: Annotated[
        Stage | None,
        Parameter(help="Go on through this stage without a stop; else one stage is run."),
    ] = None,
    back: Annotated[
        bool, Parameter(help="Put the last stage back: every host is as it was before it.")
    ] = False,
    accept_old_pods: Annotated[
        bool, Parameter(help="Drop the old authority though pods run that may know it alone.")
    ] = False,
    timeout: Annotated[
        str, Parameter(help="How long each wait for a process, or its health, may take.")
    ] = "3m",
    flags: HostRunFlags = AS_A_TABLE,
    reached: NodeHostFlags = SSH_TO_ALL,
    cluster: Cluster = CURRENT,
) -> None:
    """Replace an authority (kubernetes, etcd or front-proxy) in stages: trust, move, drop.

    trust: hosts, pods and kubeconfigs trust both. move: everything is certified by the new one.
    drop: the old one is trusted no more. Each command runs the next stage and stops; --back puts
    a stage back, also one that was interrupted. Interrupted, the same command goes on with it.
    """
    wish = Wish(
        authority=authority,
        timeout=parse_duration(timeout).total_seconds(),
        accept_old_pods=accept_old_pods,
    )
    journal = open_journal()
    async with connect(cluster.options()) as connection:
        while True:
            # Anew for each stage: nodes may have come.
            sites = await _sites(reached, connection, journal, back=back)
            runs = procedure.runs_of(connection, sites, journal)
            if back:
                await _put_back(runs, authority)
                return
            stage = await _stage(connection, sites, runs, wish, flags)
            is_far = through is None or list(Stage).index(stage) >= list(Stage).index(through)
            if flags.is_dry or is_far:
                return


async def _sites(
    reached: NodeHostFlags, connection: Connection, journal: Journal, *, back: bool
) -> Mapping[str, Host]:
    """The hosts of the stage to go on with, or to put back; else of all Nodes.

    A stage that was cut off may have left nobody who could be asked for them.
    """
    last = last_run_at(journal, PROCEDURE, connection.credentials.server)
    if last is None or not (last.is_unfinished or back):
        return await reached.sites(connection)
    known = reached.at({node: host for host, node in outlook_of(last.plan).nodes.items()})
    return await of_same_cluster(known, reached.sites(connection))


async def _stage(
    connection: Connection,
    sites: Mapping[str, Host],
    runs: HostRuns,
    wish: Wish,
    flags: HostRunFlags,
) -> Stage:
    """Run the next stage, or go on with the one under way; say which it was."""
    found = runs.under_way()
    plan = found.plan if found else await procedure.prepare(connection, sites, wish)
    outlook = outlook_of(plan)
    if outlook.authority is not wish.authority:
        raise UsageError(
            f"stage {outlook.stage} of the authority {outlook.authority} is under way",
            reason="OtherRun",
            hint=f"go on with: shipkeeper certs rotate-ca {outlook.authority}; or put it back "
            "with the same and --back",
        )
    if not (flags.is_dry or plan.blockers):
        say(f"authority {outlook.authority}: stage {outlook.stage}")
    await flags.carry_out(
        runs, plan, found, page=lambda: stage_report(plan, datetime.now(UTC)), way_on=_way_on
    )
    return outlook.stage


async def _put_back(runs: HostRuns, authority: Authority) -> None:
    found = runs.newest()
    is_back = found is not None and found.outcome is Outcome.ABORTED
    if found is None or is_back or outlook_of(found.plan).authority is not authority:
        raise UsageError(
            f"no stage of the authority {authority} was run from here that is not put back",
            reason="NothingUnderWay",
            hint="see what was run with: shipkeeper runs",
        )
    stage = outlook_of(found.plan).stage
    await procedure.put_back(runs, found, quiet)
    write(f"run/{found.id}: stage {stage} put back\n")


def _way_on(_run: str) -> str:
    return "go on with the same command; put back what was there with the same and --back"
