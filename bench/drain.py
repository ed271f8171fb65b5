#!/usr/bin/env -S .venv/bin/python
"""Draining beside kubectl: wall time, requests and budgets, on one node and on twenty.

    python bench/drain.py [--json] [--kubernetes-version V]

Each group of ten pods has a budget that lets one of them go at a time, and a replacement takes one
second to get Ready. `wall_ratio` is ours / kubectl's; requests come from the API server's audit
log, violations from an observer that shares no code with what it watches.
"""

import argparse
from datetime import timedelta
from typing import Any

import msgspec

from shipkeeper.sandbox import workloads
from shipkeeper.sandbox.assets import NEWEST
from shipkeeper.sandbox.hollow import NodeGroup
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.sandbox.watch_budgets import watch_budgets
from world import (
    KUBECTL,
    SHIPKEEPER,
    bench_sandbox,
    bring_up,
    count_requests,
    measure,
    print_figures,
    say,
)

PODS_OF_A_GROUP = 10


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """How many nodes are drained, how many stand ready for their pods, how many groups of pods."""

    suffix: str
    nodes: int
    spares: int
    groups: int

    @property
    def pods(self) -> int:
        """How many pods have to move."""
        return self.groups * PODS_OF_A_GROUP


SCENARIOS = (
    Scenario(suffix="", nodes=1, spares=2, groups=10),
    Scenario(suffix="_20_nodes", nodes=20, spares=10, groups=100),
)


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What one tool took for one scenario."""

    wall: float
    requests: int
    violations: int


def run_side(sandbox: Sandbox, scenario: Scenario, tool: str, command: str) -> Side:
    """Lay the scenario out, let one tool drain it, and clear it away."""
    namespace = f"{tool}{scenario.suffix.replace('_', '-')}"
    drained = sandbox.hollow.add_nodes(
        NodeGroup(count=scenario.nodes, prefix=f"{namespace}-old", max_pods=200, cpu="64")
    )
    spares: tuple[str, ...] = ()
    try:
        say(f"{namespace}: {scenario.pods} pods on {scenario.nodes} nodes")
        bring_up(sandbox, namespace, manifests(namespace, scenario), within=timedelta(minutes=5))
        # Only now, so that every pod stands on the nodes that are drained.
        spares = sandbox.hollow.add_nodes(
            NodeGroup(count=scenario.spares, prefix=f"{namespace}-new", max_pods=200, cpu="64")
        )
        return drain(sandbox, drained, namespace, command)
    finally:
        # The nodes go last: they end the namespace's pods.
        environment = {"KUBECONFIG": str(sandbox.kubeconfig)}
        measure([KUBECTL, "delete", "namespace", namespace, "--wait=true"], environment)
        sandbox.hollow.remove_nodes((*drained, *spares))


def manifests(namespace: str, scenario: Scenario) -> list[dict[str, Any]]:
    """Deployments of ten pods, each with a budget that lets one go at a time."""
    shape = workloads.PodShape(ready_after="1s", spread_over=workloads.HOSTNAME_LABEL)
    found = [workloads.namespace(namespace)]
    for number in range(scenario.groups):
        name = f"group-{number}"
        found += [
            workloads.deployment(name, namespace, replicas=PODS_OF_A_GROUP, shape=shape),
            workloads.budget(name, namespace, {workloads.APP_LABEL: name}, max_unavailable=1),
        ]
    return found


def drain(sandbox: Sandbox, nodes: tuple[str, ...], user: str, command: str) -> Side:
    """Let a tool drain the nodes as a user of its own, and look on."""
    kubeconfig = sandbox.issue_kubeconfig(user, ("system:masters",))
    with watch_budgets(sandbox.kubeconfig) as watch:
        measured = measure(
            [command, "drain", *nodes, "--ignore-daemonsets"], {"KUBECONFIG": str(kubeconfig)}
        )
    if measured.exit_code != 0 or watch.report is None:
        raise SystemExit(f"{command} ended with {measured.exit_code}: {measured.tail}")
    say(f"{user}: {measured.wall:.1f} s, {watch.report.violations} violations")
    return Side(
        wall=measured.wall,
        requests=count_requests(sandbox.audit_log, user),
        violations=watch.report.violations,
    )


def main() -> None:
    """Run every scenario with both tools, and print one object of figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--kubernetes-version", default=NEWEST)
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"kubernetes_version": arguments.kubernetes_version}
    with bench_sandbox(arguments.kubernetes_version) as sandbox:
        for scenario in SCENARIOS:
            theirs = run_side(sandbox, scenario, "kubectl", KUBECTL)
            ours = run_side(sandbox, scenario, "shipkeeper", SHIPKEEPER)
            figures |= compare(scenario, ours, theirs)
    print_figures(figures, as_json=arguments.json)


def compare(scenario: Scenario, ours: Side, theirs: Side) -> dict[str, Any]:
    """The figures of one scenario."""
    figures = {
        "pods": scenario.pods,
        "wall_ratio": round(ours.wall / theirs.wall, 3),
        "wall_seconds": round(ours.wall, 2),
        "kubectl_wall_seconds": round(theirs.wall, 2),
        "requests_per_pod": round(ours.requests / scenario.pods, 2),
        "kubectl_requests_per_pod": round(theirs.requests / scenario.pods, 2),
        "violations": ours.violations,
        "kubectl_violations": theirs.violations,
    }
    return {f"{key}{scenario.suffix}": value for key, value in figures.items()}


if __name__ == "__main__":
    main()
