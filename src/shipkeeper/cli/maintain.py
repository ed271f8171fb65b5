"""`shipkeeper maintain`: nodes are taken out of service, updated and put back, wave after wave."""

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter

from shipkeeper.cli.departure_flags import UNHURRIED, DepartureFlags
from shipkeeper.cli.drain_flags import CAREFUL, DrainFlags
from shipkeeper.cli.execution import conclude, open_journal, see_through
from shipkeeper.cli.flags import CURRENT, Cluster, Output, Selector, require_targets
from shipkeeper.cli.fleet_flags import ONE_BY_ONE, FleetFlags
from shipkeeper.cli.metrics import UNMEASURED, MetricsFlags
from shipkeeper.cli.output import say, show
from shipkeeper.cli.output_flags import ClientDryRun
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.verdict import Effect
from shipkeeper.errors import BlockedError, ShipkeeperError
from shipkeeper.kube.connection import connect
from shipkeeper.model.duration import parse_duration
from shipkeeper.nodes.explain import explain_drain, refusal_of
from shipkeeper.nodes.observe import ClusterState
from shipkeeper.nodes.options import DrainOptions
from shipkeeper.nodes.procedure import execute, prepare, rehearse_maintenance
from shipkeeper.nodes.report import forecast_report, plan_report

maintain = App(name="maintain")
for name, function, summary in (
    ("status", "status", "Show where a maintenance stands."),
    ("watch", "watch", "Show where a maintenance stands until it ends."),
    ("pause", "pause", "Let a running maintenance begin no further node."),
    ("resume", "resume", "Go on with a paused or interrupted maintenance."),
    ("abort", "abort", "Give a maintenance up and uncordon what it cordoned."),
):
    maintain.command(f"shipkeeper.cli.maintain_runs:{function}", name=name, help=summary)

AllNodes = Annotated[bool, Parameter(name="--all", help="Maintain every node.")]


@maintain.command
async def plan(
    *nodes: str,
    selector: Selector = "",
    all_: AllNodes = False,
    simulate: Annotated[
        bool, Parameter(help="Play the run in virtual time and show when what happens.")
    ] = False,
    update_takes: Annotated[
        str, Parameter(help="How long a node's own work takes, for --simulate (5m).")
    ] = "",
    termination_takes: Annotated[
        str, Parameter(help="How long a pod takes to end, for --simulate (10s).")
    ] = "",
    output: Output = None,
    fleet: FleetFlags = ONE_BY_ONE,
    flags: DrainFlags = CAREFUL,
    departure: DepartureFlags = UNHURRIED,
    cluster: Cluster = CURRENT,
) -> None:
    """Show the waves and steps of a maintenance, and what stands in its way; change nothing."""
    require_targets(nodes, selector, every=all_)
    options = departure.complete(flags, fleet.options(flags.options(), is_plan=True))
    async with connect(cluster.options(page_size=flags.chunk_size)) as connection:
        state, planned = await prepare(connection, nodes, selector, options)
        if not state.nodes:
            say("No resources found")
            return
        now = datetime.now(UTC)
        if simulate:
            takes = _seconds(update_takes), _seconds(termination_takes)
            told = await rehearse_maintenance(connection, state, planned, options, *takes)
            show(forecast_report(told), output)
        else:
            show(plan_report(planned, now), output)
    refused = _refusal(state, planned, options.drain, now)
    if refused is not None:
        raise refused


def _seconds(text: str) -> float | None:
    return parse_duration(text).total_seconds() if text else None


@maintain.default
@maintain.command(name="run")
async def run(
    *nodes: str,
    selector: Selector = "",
    all_: AllNodes = False,
    dry_run: ClientDryRun = "none",
    output: Output = None,
    fleet: FleetFlags = ONE_BY_ONE,
    flags: DrainFlags = CAREFUL,
    departure: DepartureFlags = UNHURRIED,
    metrics: MetricsFlags = UNMEASURED,
    cluster: Cluster = CURRENT,
) -> None:
    """Maintain nodes: cordon, drain, update, wait for Ready, uncordon."""
    require_targets(nodes, selector, every=all_)
    options = departure.complete(flags, fleet.options(flags.options()))
    if dry_run == "client":
        await plan(
            *nodes,
            selector=selector,
            all_=all_,
            output=output,
            fleet=fleet,
            flags=flags,
            departure=departure,
            cluster=cluster,
        )
        return
    async with connect(cluster.options(page_size=flags.chunk_size)) as connection:
        state, planned = await prepare(connection, nodes, selector, options)
        if not state.nodes:
            say("No resources found")
            return
        refused = _refusal(state, planned, options.drain, datetime.now(UTC))
        if refused is not None and not planned.steps:
            raise refused
        for each in planned.verdicts:
            if each.effect is Effect.SKIP:
                say(f"{each.target}: {each.message}")
        journal = open_journal()
        result = await see_through(
            lambda tell: execute(connection, journal, planned, tell),
            in_words=False,
            metrics=metrics,
        )
    conclude(journal, result, output, in_words=False)


def _refusal(
    state: ClusterState, planned: Plan, drain: DrainOptions, now: datetime
) -> ShipkeeperError | None:
    """The error that names what stands in the way of nodes; None if nothing does."""
    left_alone = {each.target for each in planned.verdicts if each.effect is Effect.SKIP}
    explained = explain_drain(state, drain, now)
    refused = refusal_of([each for each in explained if f"node/{each.node}" not in left_alone])
    if refused is not None or not planned.blockers:
        return refused
    first = planned.blockers[0]
    return BlockedError(
        "; ".join(f"{each.target}: {each.message}" for each in planned.blockers),
        reason=first.reason,
        hint=first.remedy,
    )
