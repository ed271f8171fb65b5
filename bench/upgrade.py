#!/usr/bin/env -S .venv/bin/python
"""Upgrades: orders proven and searched, checks told apart, and a check of a large cluster.

python bench/upgrade.py [--json] [--clusters 3000] [--nodes 5000] [--objects 100000]

Pluto and kubent are run beside the check where they can be built from the Go module proxy; they
are measured by the seeds that are about API versions, which is what they look for.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from backup import fill, within
from other_tools import ToolError, built
from shipkeeper.kube.connection import Connection
from shipkeeper.sandbox.assets import NEWEST, OLDEST
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.upgrade.hops import drains, hops_between, order_upgrade
from shipkeeper.upgrade.proof import prove
from world import SHIPKEEPER, bench_sandbox, print_figures, say

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.upgrade import seeds_newest, seeds_oldest
from tests.upgrade.search import fewest_drains, random_shape
from tests.upgrade.seeded import plant, run_check, score
from tests.upgrade.seeds import Seed

_PLUTO = ("github.com/fairwindsops/pluto/v5", "v5.22.5", "./cmd/pluto")
# Not every checksum database knows it, so that its own is pinned here.
_PLUTO_SUM = "h1:OkWYv0PA1XQNC1nr1KjSl+FEFUGAv5F9hE+HKui/k/I="
_AT_ONCE = 16


class Tally(msgspec.Struct):
    """Problems and look-alikes as a tool told them apart, over all clusters."""

    problems: int = 0
    found: int = 0
    wrong: int = 0

    @property
    def precision(self) -> float:
        return round(self.found / max(self.found + self.wrong, 1), 3)

    @property
    def recall(self) -> float:
        return round(self.found / max(self.problems, 1), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--clusters", type=int, default=3000)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--objects", type=int, default=100_000)
    arguments = parser.parse_args()
    figures = {**search(arguments.clusters), **tell_apart()}
    figures |= large(arguments.nodes, arguments.objects)
    print_figures(figures, as_json=arguments.json)


def search(clusters: int) -> dict[str, Any]:
    """Random clusters: every state of the planned order, and the fewest drains of any order."""
    chance, broken, excess, states, longest = random.Random(2026), 0, 0, 0, 0.0
    for _ in range(clusters):
        shape, target = random_shape(chance)
        began = time.monotonic()
        stages = order_upgrade(shape, hops_between(shape, target))
        proof = prove(shape, stages, target)
        longest = max(longest, time.monotonic() - began)
        states += proof.states
        broken += len(proof.refutations)
        excess += drains(stages) > fewest_drains(shape, target)
    say(f"{clusters} clusters, {states} states")
    return {
        "clusters_searched": clusters,
        "states_searched": states,
        "policy_violations": broken,
        "plans_with_excess_drains": excess,
        "longest_plan_and_proof_seconds": round(longest, 3),
    }


def tell_apart() -> dict[str, Any]:
    """The seeded clusters at both ends, by us and by others."""
    ours, apis, pluto = Tally(), Tally(), Tally()
    look_alikes = 0
    with tempfile.TemporaryDirectory() as scratch:
        program = build_pluto()
        for version, module in ((OLDEST, seeds_oldest), (NEWEST, seeds_newest)):
            seeds: tuple[Seed, ...] = module.SEEDS
            folder = Path(scratch) / version
            folder.mkdir()
            with bench_sandbox(version) as sandbox:
                asyncio.run(plant(sandbox, seeds, folder))
                findings = run_check(sandbox, module.TARGET, folder)["findings"]
                result = score(seeds, findings)
                ours.problems += result.problems
                ours.found += result.problems - len(result.missed)
                ours.wrong += len(result.wrong)
                look_alikes += result.look_alikes
                told = {
                    each["target"].partition(" (")[0]
                    for each in findings
                    if each["severity"] != "low" and each["rule"] in ("RemovedApi", "KindLost")
                }
                count(apis, seeds, told)
                if program is not None:
                    count(pluto, seeds, set(by_pluto(program, sandbox, module.TARGET, folder)))
    table(
        ("shipkeeper, all rules", ours),
        ("shipkeeper, API versions", apis),
        ("pluto, API versions", pluto if program else None),
        ("kubent, API versions", None),
    )
    return {
        "seeded_problems": ours.problems,
        "seeded_look_alikes": look_alikes,
        "check_precision": ours.precision,
        "check_recall": ours.recall,
        "check_api_precision": apis.precision,
        "check_api_recall": apis.recall,
        "pluto_precision": pluto.precision if program else None,
        "pluto_recall": pluto.recall if program else None,
        # Its module is not to be had from the Go module proxy.
        "kubent_precision": None,
        "kubent_recall": None,
    }


def count(tally: Tally, seeds: Sequence[Seed], told: set[str]) -> None:
    """Hold what a tool told, as `Kind name`, against the seeds about API versions."""
    names = {each.rpartition("/")[2] if "/" in each else each.partition(" ")[2] for each in told}
    wanted = {_name(seed): seed for seed in seeds if seed.api}
    for name, seed in wanted.items():
        if seed.is_problem:
            tally.problems += 1
            tally.found += name in names
        else:
            tally.wrong += name in names


def _name(seed: Seed) -> str:
    """The name of the object that a seed is about."""
    if seed.target:
        return seed.target.partition(" (")[0].partition(" ")[2].rpartition("/")[2]
    return seed.objects[0]["metadata"]["name"] if seed.objects else seed.name


def build_pluto() -> Path | None:
    """The program, built from its module; None where that is not possible."""
    try:
        return built(*_PLUTO, checksum=_PLUTO_SUM)
    except ToolError as error:
        say(f"pluto cannot be built: {error}")
        return None


def by_pluto(program: Path, sandbox: Sandbox, target: int, folder: Path) -> Iterator[str]:
    """What its three ways of looking tell to be removed, as `Kind name`."""
    environment = {**os.environ, "KUBECONFIG": str(sandbox.kubeconfig)}
    for how in (("detect-files", "-d", str(folder)), ("detect-helm",), ("detect-api-resources",)):
        words = [program, *how, "-o", "json", "--target-versions", f"k8s=v1.{target}.0"]
        answer = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        start = answer.stdout.find("{")
        if start < 0:
            say(f"pluto {how[0]} says: {(answer.stderr or answer.stdout).strip()[-200:]}")
            continue
        for item in json.loads(answer.stdout[start:]).get("items") or ():
            if item.get("removed"):
                name = item["name"].rpartition("/")[2]
                yield f"{item['api']['kind']} {name}"


def table(*rows: tuple[str, Tally | None]) -> None:
    say(f"{'':28}{'precision':>10}{'recall':>10}")
    for name, tally in rows:
        told = f"{tally.precision:>10}{tally.recall:>10}" if tally else f"{'-':>10}{'-':>10}"
        say(f"{name:28}{told}")


def large(nodes: int, objects: int) -> dict[str, Any]:
    """The check, and the plan, of a large cluster."""
    with bench_sandbox(NEWEST) as sandbox:
        seconds = within(sandbox, lambda connection: fill(connection, objects))
        seconds += within(sandbox, lambda connection: add_nodes(connection, nodes))
        say(f"{objects} objects and {nodes} nodes after {seconds:.0f} s")
        environment = {"KUBECONFIG": str(sandbox.kubeconfig)}
        check = alone(("check", "--to", "v1.40"), environment)
        plan = alone(("plan", "--to", "v1.38", "--wait"), environment)
    return {
        "nodes": nodes,
        "objects": objects,
        "check_seconds": round(check[0], 2),
        "check_mb": round(check[1], 1),
        "plan_seconds": round(plan[0], 2),
        "plan_mb": round(plan[1], 1),
    }


def alone(words: Sequence[str], environment: dict[str, str]) -> tuple[float, float]:
    """The seconds and the most megabytes of one command, whatever other children took."""
    began = time.monotonic()
    process = subprocess.Popen(
        [SHIPKEEPER, "upgrade", *words, "-o", "json"],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 4):
        raise SystemExit(f"{words} ended with {process.returncode}")
    return time.monotonic() - began, used.ru_maxrss * 1024 / 1e6


async def add_nodes(connection: Connection, count_: int) -> None:
    """Nodes without kubelets: they say that they are Ready, and nobody has heard of them since."""
    work = iter(range(count_))
    info = dict.fromkeys(
        ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "operatingSystem"), ""
    )
    status = {
        "conditions": [
            {"type": "Ready", "status": "True", "lastHeartbeatTime": "2099-01-01T00:00:00Z"}
        ],
        "nodeInfo": {
            **info,
            "kubeletVersion": "v1.37.2",
            "kubeProxyVersion": "",
            "architecture": "amd64",
            "containerRuntimeVersion": "containerd://2.1.4",
        },
    }

    async def worker() -> None:
        for number in work:
            body = {"metadata": {"name": f"large-{number}"}}
            await connection.send("POST", "/api/v1/nodes", body=body)
            await connection.send(
                "PATCH",
                f"/api/v1/nodes/large-{number}/status",
                body={"status": status},
                content_type="application/merge-patch+json",
            )

    await asyncio.gather(*(worker() for _ in range(_AT_ONCE)))


if __name__ == "__main__":
    main()
