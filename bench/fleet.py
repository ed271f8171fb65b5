#!/usr/bin/env -S .venv/bin/python
"""Maintaining a fleet beside a shell loop of kubectl: makespan, moves, budgets, planning time.

    python bench/fleet.py [--json] [--nodes 200] [--pods 2000] [--budgets 50]

Every node's work takes two seconds, every replacement one second to get Ready; each zone has one
spare node. Pods are of ReplicaSets: with Deployments their controller's status updates, a fifth of
all requests, would be what two cores are busy with. The bound is that of a fleet whose nodes take
what their slowest pod really took to leave, and their work, and not a moment more. The loop drains,
works and uncordons a few nodes of the same fleet, one after the other, and is scaled to all of them
by their number (`loop_nodes` says how many it did).
"""

import argparse
import json
from datetime import timedelta
from typing import Any

import msgspec

import fleet_figures as figures
from shipkeeper.sandbox import workloads
from shipkeeper.sandbox.assets import NEWEST
from shipkeeper.sandbox.hollow import NodeGroup
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.sandbox.watch_budgets import watch_budgets
from synthetic import synthetic_plan_seconds
from world import (
    KUBECTL,
    SHIPKEEPER,
    Measured,
    bench_sandbox,
    bring_up,
    measure,
    print_figures,
    say,
)

ZONES = 3
WORK_SECONDS = 2
LOOP_NODES = 8
FLEET = "bench=fleet"
NAMESPACE = "fleet"
SCOPE = ("-l", FLEET, "--command", f"sleep {WORK_SECONDS}")


class Ours(msgspec.Struct, frozen=True, kw_only=True):
    """What our maintenance took and did."""

    wall: float
    violations: int
    summary: dict[str, Any]
    plan_seconds: float
    forecast_seconds: float
    node_of_pod: dict[str, str]


def main() -> None:
    """Bring a fleet up, maintain it, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--pods", type=int, default=2000)
    parser.add_argument("--budgets", type=int, default=50)
    parser.add_argument("--max-unavailable", type=int, default=6)
    parser.add_argument("--kubernetes-version", default=NEWEST)
    arguments = parser.parse_args()
    with bench_sandbox(arguments.kubernetes_version) as sandbox:
        bring_fleet_up(sandbox, arguments.nodes, arguments.pods, arguments.budgets)
        ours = maintain(sandbox, arguments.max_unavailable)
        loop = kubectl_loop(sandbox, min(LOOP_NODES, arguments.nodes))
        pace = figures.measured_pace(sandbox.audit_log, NAMESPACE, ours.node_of_pod)
    bound = figures.lower_bound(
        ours.summary,
        pace,
        pods=arguments.pods,
        budgets=arguments.budgets,
        allowed=allowed(arguments.pods, arguments.budgets),
        max_unavailable=arguments.max_unavailable,
        work_seconds=WORK_SECONDS,
    )
    scaled = loop.wall / min(LOOP_NODES, arguments.nodes) * arguments.nodes
    moved = ours.summary["podsMoved"]
    print_figures(
        {
            "kubernetes_version": arguments.kubernetes_version,
            "nodes": arguments.nodes,
            "pods": arguments.pods,
            "budgets": arguments.budgets,
            "max_unavailable": arguments.max_unavailable,
            "makespan_seconds": round(ours.wall, 1),
            "lower_bound_seconds": round(bound, 1),
            "makespan_over_bound": round(ours.wall / bound, 3),
            "pods_moved": moved,
            "moves_per_pod": round(moved / arguments.pods, 3),
            "violations": ours.violations,
            "loop_nodes": min(LOOP_NODES, arguments.nodes),
            "kubectl_loop_seconds_scaled": round(scaled, 1),
            "speedup_over_kubectl_loop": round(scaled / ours.wall, 2),
            "replacement_seconds": round(pace.replace, 2),
            "leave_seconds": round(pace.leave, 2),
            "plan_seconds_200": round(ours.plan_seconds, 2),
            "plan_seconds_2000": round(synthetic_plan_seconds(2000, 20000, 500), 2),
            "forecast_seconds": round(ours.forecast_seconds, 1),
            "rehearsal_error": round(abs(ours.forecast_seconds - ours.wall) / ours.wall, 3),
        },
        as_json=arguments.json,
    )


def allowed(pods: int, budgets: int) -> int:
    """How many pods of one budget may be gone: a tenth of them."""
    return max(pods // budgets // 10, 1)


def bring_fleet_up(sandbox: Sandbox, nodes: int, pods: int, budgets: int) -> None:
    """Nodes with all pods on them, then one empty spare node for each zone."""
    label, _, value = FLEET.partition("=")
    say(f"{pods} pods on {nodes} nodes, {budgets} budgets")
    sandbox.hollow.add_nodes(
        NodeGroup(count=nodes, prefix="old", zones=ZONES, labels={label: value}, cpu="4")
    )
    shape = workloads.PodShape(ready_after="1s", cpu="100m")
    manifests = [workloads.namespace(NAMESPACE)]
    for number in range(budgets):
        name = f"app-{number}"
        manifests += [
            workloads.replica_set(name, NAMESPACE, replicas=pods // budgets, shape=shape),
            workloads.budget(
                name,
                NAMESPACE,
                {workloads.APP_LABEL: name},
                max_unavailable=allowed(pods, budgets),
            ),
        ]
    bring_up(sandbox, NAMESPACE, manifests, within=timedelta(minutes=10))
    sandbox.hollow.add_nodes(NodeGroup(count=ZONES, prefix="spare", zones=ZONES, cpu="16"))


def maintain(sandbox: Sandbox, max_unavailable: int) -> Ours:
    """Plan and rehearse the maintenance, then run it while an observer looks on."""
    environment = {"KUBECONFIG": str(sandbox.kubeconfig)}
    cap = f"--max-unavailable={max_unavailable}"
    simulate = ("--simulate", f"--update-takes={WORK_SECONDS}s", "-o", "json")
    planned = measure([SHIPKEEPER, "maintain", "plan", *SCOPE, cap], environment)
    rehearsed = measure([SHIPKEEPER, "maintain", "plan", *SCOPE, cap, *simulate], environment)
    forecast = json.loads(rehearsed.output)["makespan"]
    say(f"the rehearsal takes {forecast} s")
    with watch_budgets(sandbox.kubeconfig) as watch:
        run = measure([SHIPKEEPER, "maintain", "run", *SCOPE, cap, "-o", "json"], environment)
    if run.exit_code != 0 or watch.report is None:
        raise SystemExit(f"shipkeeper ended with {run.exit_code}: {run.tail}")
    say(f"shipkeeper: {run.wall:.1f} s, {watch.report.violations} violations")
    summary = json.loads(run.output)
    shown = measure([SHIPKEEPER, "runs", "show", summary["run"], "-o", "json"], environment)
    return Ours(
        wall=run.wall,
        violations=watch.report.violations,
        summary=summary,
        plan_seconds=planned.wall,
        forecast_seconds=forecast,
        node_of_pod=figures.nodes_of_pods(json.loads(shown.output)),
    )


def kubectl_loop(sandbox: Sandbox, nodes: int) -> Measured:
    """What people type: node after node, drain, work, uncordon."""
    environment = {"KUBECONFIG": str(sandbox.kubeconfig)}
    names = [f"old-{number}" for number in range(1, nodes + 1)]
    loop = (
        f"for node in {' '.join(names)}; do {KUBECTL} drain $node --ignore-daemonsets && "
        f"sleep {WORK_SECONDS} && {KUBECTL} uncordon $node || exit 1; done"
    )
    done = measure(["/bin/sh", "-c", loop], environment)
    if done.exit_code != 0:
        raise SystemExit(f"the loop ended with {done.exit_code}: {done.tail}")
    say(f"kubectl: {done.wall:.1f} s for {nodes} nodes")
    return done


if __name__ == "__main__":
    main()
