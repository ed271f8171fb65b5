#!/usr/bin/env -S .venv/bin/python
"""Rehearsals beside real runs: by how much the foretold makespan of small fleets is wrong.

    python bench/rehearsal.py [--json] [--fleets 20] [--seed 0]

Each fleet is drawn from its seed: nodes, zones, pods, budgets, caps, a canary or growing groups,
how long pods take to get Ready (0.5 to 3 s) and to end (0.1 to 0.6 s), how long a node's work takes
(1 to 3 s). They are brought up on one sandbox, one after the other, rehearsed, and then run. The
rehearsal is told what no cluster shows beforehand: how long the work takes, and a pod's end. The
makespan of a run is that of its journal, from its begin to its end.
"""

import argparse
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from math import ceil
from random import Random
from statistics import median
from typing import Any

import msgspec

from shipkeeper.sandbox import workloads
from shipkeeper.sandbox.assets import NEWEST
from shipkeeper.sandbox.hollow import NodeGroup
from shipkeeper.sandbox.sandbox import Sandbox
from world import KUBECTL, SHIPKEEPER, bench_sandbox, bring_up, measure, print_figures, say

LABEL = "bench"
BOUND = 0.15
# Seconds that the work of a fleet takes at least; caps are drawn so that no run takes minutes.
WORK_IN_ALL = 10
# A cluster tells in whole seconds when a pod had a place and when it was Ready. Of pods that start
# at the same part of a second each tells the same wrong number; those of a real fleet started at
# any. So a fleet comes up in parts, which begin evenly spread over the second.
PARTS = 6


class App(msgspec.Struct, frozen=True, kw_only=True):
    """A Deployment and how many of its pods may be missing (0 for no budget)."""

    name: str
    replicas: int
    ready_after: float
    allowed: int


class Draw(msgspec.Struct, frozen=True, kw_only=True):
    """One fleet and what is done to it."""

    name: str
    nodes: int
    zones: int
    stops_after: float
    apps: tuple[App, ...]
    work: float
    flags: tuple[str, ...]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One fleet's makespan in seconds, foretold and real."""

    fleet: str
    foretold: float
    real: float
    moves_foretold: int
    moves: int

    @property
    def error(self) -> float:
        """How far off the rehearsal was, as a part of the real makespan."""
        return abs(self.foretold - self.real) / self.real


def main() -> None:
    """Rehearse and run every fleet, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--fleets", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the first fleet")
    parser.add_argument("--kubernetes-version", default=NEWEST)
    arguments = parser.parse_args()
    seeds = range(arguments.seed, arguments.seed + arguments.fleets)
    with bench_sandbox(arguments.kubernetes_version) as sandbox:
        found = [compare(sandbox, draw_fleet(seed)) for seed in seeds]
    errors = [each.error for each in found]
    print_figures(
        {
            "kubernetes_version": arguments.kubernetes_version,
            "fleets": len(found),
            "worst_error": round(max(errors), 3),
            "median_error": round(median(errors), 3),
            "within_15_percent": sum(error <= BOUND for error in errors),
            "errors": {each.fleet: round(each.error, 3) for each in found},
            "foretold_seconds": {each.fleet: round(each.foretold, 2) for each in found},
            "real_seconds": {each.fleet: round(each.real, 2) for each in found},
            "moves_foretold": sum(each.moves_foretold for each in found),
            "moves": sum(each.moves for each in found),
        },
        as_json=arguments.json,
    )


def draw_fleet(seed: int) -> Draw:
    """The fleet of a seed."""
    draw = Random(f"rehearsal {seed}")
    nodes, work = draw.randint(4, 16), round(draw.uniform(1, 3), 1)
    cap = max(ceil(nodes * (work + 1) / WORK_IN_ALL) + draw.choice((-1, 0, 1)), 1)
    return Draw(
        name=f"fleet-{seed}",
        nodes=nodes,
        zones=draw.randint(1, 3),
        stops_after=round(draw.uniform(0.1, 0.6), 1),
        apps=tuple(_draw_apps(draw, nodes)),
        work=work,
        flags=(f"--max-unavailable={cap}", *_draw_order(draw)),
    )


def _draw_apps(draw: Random, nodes: int) -> Iterator[App]:
    for number in range(draw.randint(2, 5)):
        replicas = draw.randint(2, 2 * nodes)
        # Tight, but not so tight that the budget alone would take a minute; loose; or none.
        tight, loose = ceil(replicas / 8), ceil(replicas / 3)
        yield App(
            name=f"app-{number}",
            replicas=replicas,
            ready_after=round(draw.uniform(0.5, 3), 1),
            allowed=draw.choice((tight, tight, loose, 0)),
        )


def _draw_order(draw: Random) -> tuple[str, ...]:
    return draw.choice(
        (
            (),
            (),
            ("--max-unavailable-per-zone=2",),
            ("--canary=1",),
            ("--canary=1", "--wave-growth=2", "--soak=1s"),
        )
    )


def compare(sandbox: Sandbox, fleet: Draw) -> Found:
    """Bring a fleet up, rehearse its maintenance, run it, and take it away."""
    names = bring_fleet_up(sandbox, fleet)
    environment = {"KUBECONFIG": str(sandbox.kubeconfig)}
    scope = ("-l", f"{LABEL}={fleet.name}", f"--command=sleep {fleet.work}", *fleet.flags)
    takes = (
        "--simulate",
        f"--update-takes={fleet.work}s",
        f"--termination-takes={fleet.stops_after}s",
    )
    told = _json([SHIPKEEPER, "maintain", "plan", *scope, *takes, "-o", "json"], environment)
    run = _json([SHIPKEEPER, "maintain", "run", *scope, "-o", "json"], environment)
    found = Found(
        fleet=fleet.name,
        foretold=told["makespan"],
        real=run["seconds"],
        moves_foretold=told["moves"],
        moves=run["podsMoved"],
    )
    say(
        f"{fleet.name}: {fleet.nodes} nodes, {sum(app.replicas for app in fleet.apps)} pods, "
        f"{' '.join(fleet.flags)}: foretold {found.foretold:.1f} s, real {found.real:.1f} s, "
        f"error {found.error:.1%}"
    )
    measure([KUBECTL, "delete", "namespace", fleet.name, "--wait=false"], environment)
    sandbox.hollow.remove_nodes(names)
    return found


def bring_fleet_up(sandbox: Sandbox, fleet: Draw) -> tuple[str, ...]:
    """All pods on the nodes of the fleet, then a spare node; the names of all of them."""
    home = {"home": fleet.name}
    nodes = NodeGroup(
        count=fleet.nodes,
        prefix=fleet.name,
        zones=fleet.zones,
        labels={**home, LABEL: fleet.name},
        cpu="4",
        stops_after=fleet.stops_after,
    )
    names = sandbox.hollow.add_nodes(nodes)
    for part in range(1, PARTS + 1):
        manifests = list(_manifests(fleet, home, part / PARTS))
        time.sleep((part / PARTS - time.time()) % 1)
        bring_up(sandbox, fleet.name, manifests, within=timedelta(minutes=3))
    spare = NodeGroup(
        prefix=f"{fleet.name}-spare", labels=home, cpu="16", stops_after=fleet.stops_after
    )
    return (*names, *sandbox.hollow.add_nodes(spare))


def _manifests(fleet: Draw, home: dict[str, str], part: float) -> Iterator[dict[str, Any]]:
    """Everything of a fleet, its applications with a part of their pods."""
    yield workloads.namespace(fleet.name)
    for app in fleet.apps:
        shape = workloads.PodShape(
            node_selector=home, ready_after=f"{app.ready_after}s", cpu="100m"
        )
        replicas = ceil(app.replicas * part)
        yield workloads.deployment(app.name, fleet.name, replicas=replicas, shape=shape)
        if app.allowed:
            covered = {workloads.APP_LABEL: app.name}
            yield workloads.budget(app.name, fleet.name, covered, max_unavailable=app.allowed)


def _json(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    done = measure(command, environment)
    if done.exit_code != 0:
        raise SystemExit(f"{' '.join(command)} ended with {done.exit_code}: {done.tail}")
    return json.loads(done.output)


if __name__ == "__main__":
    main()
