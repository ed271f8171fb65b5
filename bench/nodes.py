#!/usr/bin/env -S .venv/bin/python
"""The node table of a large fleet, beside kubectl: seconds, MiB and CPU.

python bench/nodes.py [--json] [--nodes 1000] [--pods 10000] [--kubernetes-version V]
"""

import argparse
import time
from datetime import timedelta

from shipkeeper.sandbox import workloads
from shipkeeper.sandbox.assets import NEWEST
from shipkeeper.sandbox.hollow import NodeGroup
from world import KUBECTL, SHIPKEEPER, bench_sandbox, bring_up, measure, print_figures, say

PODS_OF_AN_APP = 100
REPEATS = 3


def main() -> None:
    """Bring a fleet up and look at it with both tools."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=10000)
    parser.add_argument("--kubernetes-version", default=NEWEST)
    arguments = parser.parse_args()
    with bench_sandbox(arguments.kubernetes_version) as sandbox:
        environment = {"KUBECONFIG": str(sandbox.kubeconfig)}
        began = time.monotonic()
        sandbox.hollow.add_nodes(NodeGroup(count=arguments.nodes, zones=3))
        found = [workloads.namespace("fleet")]
        for number in range(arguments.pods // PODS_OF_AN_APP):
            name = f"app-{number}"
            found += [
                workloads.deployment(name, "fleet", replicas=PODS_OF_AN_APP),
                workloads.budget(name, "fleet", {workloads.APP_LABEL: name}, max_unavailable=1),
            ]
        bring_up(sandbox, "fleet", found, within=timedelta(minutes=15))
        fleet_seconds = time.monotonic() - began
        say(f"{arguments.nodes} nodes and {arguments.pods} pods after {fleet_seconds:.0f} s")
        version = min(
            (measure([SHIPKEEPER, "--version"], {}) for _ in range(5)), key=lambda m: m.cpu
        )
        ours = [measure([SHIPKEEPER, "nodes"], environment) for _ in range(REPEATS)]
        theirs = [
            measure([KUBECTL, "get", *what], environment)
            for _ in range(REPEATS)
            for what in (["nodes"], ["pods", "--all-namespaces", "-o", "wide"])
        ]
    our_wall = min(each.wall for each in ours)
    figures = {
        "nodes": arguments.nodes,
        "pods": arguments.pods,
        "fleet_up_seconds": round(fleet_seconds, 1),
        "version_cpu_seconds": round(version.cpu, 3),
        "nodes_wall_seconds": round(our_wall, 2),
        "nodes_peak_mib": round(max(each.peak_mib for each in ours), 1),
        # kubectl needs two commands for the same question.
        "kubectl_nodes_and_pods_wall_seconds": round(
            min(each.wall for each in theirs[::2]) + min(each.wall for each in theirs[1::2]), 2
        ),
    }
    print_figures(figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
