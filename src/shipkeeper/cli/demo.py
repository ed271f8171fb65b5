"""`shipkeeper demo`: a rolling maintenance of twelve nodes on a real control plane."""

import asyncio
import os
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from shipkeeper.cli.execution import open_journal, see_through
from shipkeeper.cli.flags import Output
from shipkeeper.cli.output import say, show
from shipkeeper.engine.history import RunHistory, read_history
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.report import Report
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.nodes.bound import budget_groups, lower_bound_seconds, update_seconds
from shipkeeper.nodes.inventory import take_inventory
from shipkeeper.nodes.inventory_report import inventory_report
from shipkeeper.nodes.observe import ClusterState
from shipkeeper.nodes.plan import nodes_of
from shipkeeper.nodes.procedure import execute, prepare, rehearse_maintenance
from shipkeeper.nodes.report import plan_report, summary_report
from shipkeeper.nodes.summary import summarise
from shipkeeper.sandbox import demo as fleet
from shipkeeper.sandbox.assets import NEWEST
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.sandbox.watch_budgets import BudgetWatch, watch_budgets


async def demo(
    *,
    kubernetes_version: Annotated[str, Parameter(help="The version to show.")] = NEWEST,
    output: Output = None,
) -> None:
    """Show a rolling maintenance: twelve nodes, real workloads, nothing lost.

    It leaves its sandbox up, to try things in.
    """
    # The command of the maintenance is this very shipkeeper, wherever it was called from.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    sandbox = await asyncio.to_thread(fleet.fresh_sandbox, kubernetes_version, say)
    options = ConnectionOptions(kubeconfig=str(sandbox.kubeconfig))
    async with connect(options) as connection:
        say("bringing workloads up: deployments, budgets, a stateful set, a daemon set, bare pods")
        await fleet.load_workloads(connection)
        state, plan = await prepare(connection, (), "", fleet.maintenance())
        rehearsed = await rehearse_maintenance(
            connection, state, plan, fleet.maintenance(), fleet.UPDATE_SECONDS
        )
        if not output:
            _show_beforehand(state, plan)
        began = time.monotonic()
        history, watch = await _maintain(sandbox, connection, plan)
        seconds = time.monotonic() - began
    report = _report(state, plan, history, watch, seconds, rehearsed.makespan)
    if not output:
        show(summary_report(summarise(history)), None)
    show(_as_report(report), output)
    if not output:
        _suggest(sandbox)


def _show_beforehand(state: ClusterState, plan: Plan) -> None:
    now = datetime.now(UTC)
    say("\nThe nodes ($ shipkeeper nodes):\n")
    show(inventory_report(take_inventory(state, now), now), None)
    say("\nThe plan ($ shipkeeper maintain --all --command … --dry-run=client):\n")
    show(plan_report(plan, now), None)
    say("\nThe run:\n")


async def _maintain(
    sandbox: Sandbox, connection: Connection, plan: Plan
) -> tuple[RunHistory, BudgetWatch]:
    journal = open_journal()
    with ExitStack() as stack:
        # The observer starts and ends by waiting for its process, which must not hold the run up.
        watch = await asyncio.to_thread(stack.enter_context, watch_budgets(sandbox.kubeconfig))
        result = await see_through(
            lambda tell: execute(connection, journal, plan, tell), in_words=False
        )
    run = journal.run(result.run)
    return read_history(run, journal.entries(run.id)), watch


def _report(
    state: ClusterState,
    plan: Plan,
    history: RunHistory,
    watch: BudgetWatch,
    seconds: float,
    rehearsed: float,
) -> fleet.DemoReport:
    summary = summarise(history)
    updates = update_seconds(history)
    movable = sum(item.action == "Evict" for step in plan.steps for item in step.items)
    bound = lower_bound_seconds(
        updates,
        budget_groups(state, plan),
        replacement_seconds=fleet.READY_SECONDS,
        max_unavailable=1,
    )
    return fleet.DemoReport(
        nodes=len(state.nodes),
        done=sum(node.is_done for node in summary.nodes),
        refused=len(state.nodes) - len(nodes_of(plan)),
        pods_moved=summary.pods_moved,
        moves_per_pod=round(summary.pods_moved / max(movable, 1), 2),
        violations=watch.report.violations if watch.report else -1,
        seconds=round(seconds, 1),
        lower_bound_seconds=round(bound, 1),
        rehearsed_seconds=round(rehearsed, 1),
    )


def _as_report(report: fleet.DemoReport) -> Report:
    lines = (
        f"{report.done} of {report.nodes} nodes done, {report.refused} refused and left alone",
        f"{report.pods_moved} pods moved, {report.moves_per_pod} moves per pod",
        f"{report.violations} budget violations, counted by an independent observer",
        f"{report.seconds} s, {report.rehearsed_seconds} s in its rehearsal; "
        f"no order could take less than {report.lower_bound_seconds} s",
    )
    return Report(value=report, body=("\n".join(lines),))


def _suggest(sandbox: Sandbox) -> None:
    refused = f"node-{fleet.NODES}"
    say("\nThe sandbox stays up. Three things to try next:\n")
    say(f"  export KUBECONFIG={sandbox.kubeconfig}")
    say(f"  shipkeeper drain {refused} --explain          # why that node was left alone")
    say("  shipkeeper nodes explain node-1 --if-lost     # what happens if a node dies now")
    say("  shipkeeper runs                               # what was done, from the journal")
    say(f"\nand then: shipkeeper sandbox down {sandbox.name}")
