#!/usr/bin/env -S .venv/bin/python
"""Parity with real API servers, and the speed of answers over a large policy.

python bench/access.py [--json] [--reviews 100000] [--bindings 20000] [--roles 5000]

kubectl-who-can and rbac-tool are built from the Go module proxy where there is a Go, and asked the
same question of the same cluster; null where they cannot be built.
"""

import argparse
import asyncio
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

# The random policies and questions are those of the tests.
sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.access.fuzz import API_GROUPS, RESOURCES, VERBS, Fuzz, rbac
from tests.access.parity import Tally, compare, fuzzed_cluster, servers
from tests.access.world import connected, create_together

from shipkeeper.access.assembly import from_manifests
from shipkeeper.access.attributes import Attributes, authenticated
from shipkeeper.access.chain import Chain
from shipkeeper.access.escalation.findings import escalation_findings
from shipkeeper.access.policy import Policy
from shipkeeper.access.who_can import who_can
from shipkeeper.access.words import question
from shipkeeper.errors import ShipkeeperError
from shipkeeper.sandbox.assets import NEWEST
from shipkeeper.sandbox.assets.golang import find_go
from shipkeeper.sandbox.assets.versions import OLDEST
from shipkeeper.sandbox.sandbox import Sandbox
from world import SHIPKEEPER, bench_sandbox, measure, print_figures, say

CHAINS = 5
QUESTIONS = 500
SLICE = 500
REPEATS = 10
# Module, version and package of each tool.
TOOLS = {
    "who_can_tool_seconds": (
        "github.com/aquasecurity/kubectl-who-can",
        "v0.4.0",
        "github.com/aquasecurity/kubectl-who-can/cmd/kubectl-who-can",
        ("get", "pods", "-A"),
    ),
    "rbac_tool_seconds": (
        "github.com/alcideio/rbac-tool",
        "v1.20.0",
        "github.com/alcideio/rbac-tool",
        ("who-can", "get", "pods"),
    ),
}
SPACES = 200


def main() -> None:
    """Compare, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--reviews", type=int, default=100_000)
    parser.add_argument("--bindings", type=int, default=20_000)
    parser.add_argument("--roles", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    tallies: list[Tally] = []
    figures: dict[str, Any] = {}
    for version in (NEWEST, OLDEST):
        with bench_sandbox(version) as sandbox:
            tallies.append(asyncio.run(_parity(sandbox, arguments.reviews // 2, arguments.seed)))
            if version == NEWEST:
                figures |= asyncio.run(_beside(sandbox, arguments.roles, arguments.bindings))
    with tempfile.TemporaryDirectory() as directory:
        alone = _alone(Path(directory), arguments.roles, arguments.bindings)
    asked = Tally()
    for tally in tallies:
        asked.add(tally)
    summary = {
        "reviews": asked.reviews,
        "mismatches": len(asked.mismatches),
        "allowed": asked.allowed,
        "denied": asked.denied,
        "evaluation_errors": asked.errors,
        "invalid": asked.invalid,
        "decided_by": dict(asked.decided),
        "faults": dict(asked.failed),
    }
    print_figures({**summary, **alone, **figures}, as_json=arguments.json)


async def _parity(sandbox: Sandbox, reviews: int, seed: int) -> Tally:
    """Random policies in random chains; new servers of new chains every so often."""
    total = Tally()
    while total.reviews < reviews:
        seed += 1
        fuzz = Fuzz(seed)
        rounds = min(6, -(-(reviews - total.reviews) // (CHAINS * QUESTIONS)))
        with tempfile.TemporaryDirectory() as directory:
            async with (
                fuzzed_cluster(sandbox, fuzz) as connection,
                servers(sandbox, Path(directory), fuzz, CHAINS) as running,
            ):
                found = await compare(connection, fuzz, running, rounds=rounds, questions=QUESTIONS)
        total.add(found)
        say(f"{sandbox.version}: {total.reviews} reviews, {len(total.mismatches)} mismatches")
        say(f"  decided by {dict(total.decided)}, faults {dict(total.failed)}")
        for mismatch in found.mismatches[:3]:
            say(f"  {mismatch}")
    return total


def large_policy(roles: int, bindings: int, seed: int = 1) -> Iterator[dict[str, Any]]:
    """A cluster of many teams: roles in namespaces, a few of them mighty, bindings to many."""
    lot = random.Random(seed)
    fuzz = Fuzz(seed)
    for number in range(roles):
        where = f"team-{number % SPACES}" if number % 10 else ""
        role = rbac("Role" if where else "ClusterRole", f"role-{number}", where)
        rules = [each for each in fuzz.rules() if "resources" in each]
        # Mighty ones are rare, as in clusters that anybody can still reason about.
        is_mighty = number % 500 == 0
        role["rules"] = [_tamed(rule) for rule in rules] if not is_mighty else rules
        yield role
    for number in range(bindings):
        of = lot.randrange(roles)
        where = f"team-{of % SPACES}" if of % 10 else ""
        is_wide = not where and number % 3 == 0
        place = where or ("" if is_wide else f"team-{number % SPACES}")
        kind = "RoleBinding" if place else "ClusterRoleBinding"
        binding = rbac(kind, f"binding-{number}", place)
        group = "rbac.authorization.k8s.io"
        role_kind = "Role" if where else "ClusterRole"
        binding["roleRef"] = {"apiGroup": group, "kind": role_kind, "name": f"role-{of}"}
        binding["subjects"] = [_subject(lot, place or "team-0")]
        yield binding


def _tamed(rule: dict[str, Any]) -> dict[str, Any]:
    wanted = [verb for verb in rule["verbs"] if verb != "*"] or ["get"]
    resources = [each for each in rule["resources"] if each not in ("*", "secrets")] or ["services"]
    return {**rule, "verbs": wanted, "resources": resources}


def _subject(lot: random.Random, namespace: str) -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    match lot.randrange(3):
        case 0:
            return {"apiGroup": group, "kind": "User", "name": f"user-{lot.randrange(3000)}"}
        case 1:
            return {"apiGroup": group, "kind": "Group", "name": f"group-{lot.randrange(300)}"}
        case _:
            name = f"robot-{lot.randrange(10)}"
            return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def _alone(directory: Path, roles: int, bindings: int) -> dict[str, Any]:
    """A process of its own, so that its memory is measured alone."""
    path = directory / "figures.json"
    script = f"import access; access.measure_alone({str(path)!r}, {roles}, {bindings})"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
    return msgspec.json.decode(path.read_bytes())


def measure_alone(path: str, roles: int, bindings: int) -> None:
    """How long answers take, and how much memory, over a large policy."""
    policy = from_manifests(large_policy(roles, bindings), source="synthetic")
    began = time.monotonic()
    chain = Chain(policy)
    build = time.monotonic() - began
    figures = {
        "roles": len(policy.roles),
        "bindings": len(policy.bindings),
        "build_seconds": round(build, 2),
        "us_per_decision": round(_decisions(chain), 2),
        "who_can_seconds": round(_who_can(chain), 3),
        **_graph(policy),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    Path(path).write_bytes(msgspec.json.encode(figures))


def _decisions(chain: Chain) -> float:
    lot = random.Random(2)
    asked: list[Attributes] = []
    for _ in range(20_000):
        groups = tuple(f"group-{lot.randrange(300)}" for _ in range(2))
        user = authenticated(f"user-{lot.randrange(3000)}", groups)
        asked.append(
            Attributes(
                user=user,
                verb=lot.choice(VERBS),
                group=lot.choice(API_GROUPS),
                resource=lot.choice(RESOURCES),
                namespace=f"team-{lot.randrange(SPACES)}",
            )
        )
    # Short slices, each repeated: what other processes take from the machine is not ours.
    total = 0.0
    for start in range(0, len(asked), SLICE):
        total += min(_seconds(chain, asked[start : start + SLICE]) for _ in range(REPEATS))
    return total / len(asked) * 1e6


def _seconds(chain: Chain, asked: list[Attributes]) -> float:
    began = time.perf_counter()
    for each in asked:
        chain.answer(each)
    return time.perf_counter() - began


def _who_can(chain: Chain) -> float:
    began = time.monotonic()
    found = who_can(chain, question("get", "pods"), everywhere=True)
    seconds = time.monotonic() - began
    say(f"who-can get pods -A: {len(found.holders)} holders")
    return seconds


def _graph(policy: Policy) -> dict[str, Any]:
    began = time.monotonic()
    found = list(escalation_findings(Chain(policy)))
    return {"graph_seconds": round(time.monotonic() - began, 2), "graph_findings": len(found)}


async def _beside(sandbox: Sandbox, roles: int, bindings: int) -> dict[str, Any]:
    """The same question to each tool, of the same cluster, which must first be filled."""
    async with connected(sandbox.kubeconfig) as connection:
        spaces = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"team-{number}"}}
            for number in range(SPACES)
        ]
        await create_together(connection, spaces)
        await create_together(connection, large_policy(roles, bindings))
    say("the cluster is filled")
    environment = {"KUBECONFIG": str(sandbox.kubeconfig)}
    ours = measure([SHIPKEEPER, "access", "who-can", "get", "pods", "-A"], environment)
    figures: dict[str, Any] = {"who_can_command_seconds": round(ours.wall, 2)}
    for key, (module, version, package, words) in TOOLS.items():
        program = await asyncio.to_thread(_built, module, version, package)
        figures[key] = None
        if program is not None:
            done = measure([str(program), *words], environment)
            figures[key] = round(done.wall, 2) if done.exit_code == 0 else None
            if done.exit_code:
                say(f"{program.name} failed: {done.tail[-300:]}")
    return figures


def _built(module: str, version: str, package: str) -> Path | None:
    """Build a tool once; None, and why, where that is not possible."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program = home / "shipkeeper" / "bench-tools" / package.rpartition("/")[2]
    if program.exists():
        return program
    try:
        go = find_go()
    except ShipkeeperError as error:
        say(f"{program.name} cannot be built: {error.message}")
        return None
    with tempfile.TemporaryDirectory() as place:
        # A main module that requires it: `go install` would ask the proxy for the package's path.
        text = f"module throwaway\n\ngo 1.21\n\nrequire {module} {version}\n"
        Path(place, "go.mod").write_text(text)
        done = subprocess.run(
            [str(go), "build", "-mod=mod", "-o", str(program), package],
            cwd=place,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        say(f"{program.name} cannot be built: {done.stderr.splitlines()[-1:]}")
        return None
    return program


if __name__ == "__main__":
    main()
