#!/usr/bin/env -S .venv/bin/python
"""A check of many ports and Secrets: how long it takes, and whether it finds what was planted.

python bench/certs.py [--json] [--endpoints 1000] [--secrets 10000]

The ports are real TLS servers on loopback, each with a certificate of its own, that webhooks of a
real API server name; the Secrets lie in that server. Every fortieth port and every four hundredth
Secret has a defect.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

# The certificates and servers are those of the tests.
sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.access.certs.authority import CLIENT, Pair, authority, leaf
from tests.access.certs.objects import NAMESPACE, configuration, ingress, path_of, secret
from tests.access.certs.servers import Server, Servers, servers
from tests.access.world import connected

from shipkeeper.sandbox.assets import NEWEST
from shipkeeper.sandbox.sandbox import Sandbox
from world import SHIPKEEPER, bench_sandbox, measure, print_figures, say

Json = dict[str, Any]
Expected = set[tuple[str, str]]
DAY = timedelta(days=1)
HOOKS_EACH = 100
AT_ONCE = 64
PORT_EVERY, SECRET_EVERY = 40, 400
ROOT, OTHER = authority("root"), authority("other")
MATTERS = ("high", "medium")


def main() -> None:
    """Plant, then check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--endpoints", type=int, default=1000)
    parser.add_argument("--secrets", type=int, default=10_000)
    arguments = parser.parse_args()
    with bench_sandbox(NEWEST) as sandbox, servers() as running:
        figures = _figures(sandbox, running, arguments.endpoints, arguments.secrets)
    print_figures(figures, as_json=arguments.json)


def _figures(sandbox: Sandbox, running: Servers, endpoints: int, secrets: int) -> Json:
    expected: Expected = set()
    say(f"starting {endpoints} TLS servers")
    hooks = list(_hooks(running, endpoints, expected))
    say(f"creating {secrets} Secrets")
    asyncio.run(_create(sandbox, hooks, list(_secrets(secrets, expected))))
    with tempfile.TemporaryDirectory() as state:
        done = measure(
            (SHIPKEEPER, "certs", "check", "-o", "json"),
            {"KUBECONFIG": str(sandbox.kubeconfig), "XDG_STATE_HOME": state},
        )
    found = json.loads(done.output)
    hit = {
        (each["rule"], each["target"]) for each in found["findings"] if each["severity"] in MATTERS
    }
    return {
        "endpoints": endpoints,
        "secrets": secrets,
        "seconds": round(done.wall, 2),
        "cpu_seconds": round(done.cpu, 2),
        "peak_mib": round(done.peak_mib),
        "defects_planted": len(expected),
        "defects_found": len(expected & hit),
        "false_alarms": len(hit - expected),
        "not_checked": len(found["unchecked"]),
    }


def _hooks(running: Servers, count: int, expected: Expected) -> Iterator[Json]:
    """Configurations of webhooks, each with a port of its own."""
    for first in range(0, count, HOOKS_EACH):
        name = f"bench-{first}"
        hooks: list[tuple[str, str, bytes]] = []
        for index in range(first, min(first + HOOKS_EACH, count)):
            pair, rule = _port_pair(index)
            port = running.start(Server(pair=pair))
            hooks.append((f"h{index}", f"https://127.0.0.1:{port}/", ROOT.certificate))
            if rule:
                target = f"ValidatingWebhookConfiguration {name}/h{index}.example.com"
                expected.add((rule, target))
        yield configuration(name, hooks)


def _port_pair(index: int) -> tuple[Pair, str]:
    if index % PORT_EVERY:
        return leaf(ROOT), ""
    defects = (
        (leaf(ROOT, ends=-DAY), "Expired"),
        (leaf(OTHER), "Untrusted"),
        (leaf(ROOT, names=("elsewhere.example.com",)), "WrongName"),
        (leaf(ROOT, usages=(CLIENT,)), "WrongUsage"),
        (leaf(ROOT, ends=5 * DAY), "ExpiresSoon"),
    )
    return defects[index // PORT_EVERY % len(defects)]


def _secrets(count: int, expected: Expected) -> Iterator[Json]:
    """TLS Secrets, each served by an Ingress of its own every hundred."""
    for index in range(count):
        name, host = f"s{index}", f"s{index}.example.com"
        pair, rule = _secret_pair(index, host)
        yield secret(name, pair)
        if index % 100 == 0:
            yield ingress(name, name, (host,))
        if rule:
            expected.add((rule, f"Secret {NAMESPACE}/{name}"))


def _secret_pair(index: int, host: str) -> tuple[Pair, str]:
    good = leaf(ROOT, names=(host,))
    if index % SECRET_EVERY:
        return good, ""
    defects = (
        (leaf(ROOT, names=(host,), ends=-DAY), "Expired"),
        (leaf(ROOT, names=("elsewhere.example.com",)), "WrongName"),
        (Pair(certificate=good.certificate, key=leaf(ROOT).key), "KeyMismatch"),
        (Pair(certificate=b"no pem", key=good.key), "Unreadable"),
    )
    return defects[index // SECRET_EVERY % len(defects)]


async def _create(sandbox: Sandbox, hooks: list[Json], others: list[Json]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)
    async with connected(sandbox.kubeconfig) as connection:

        async def one(manifest: Json) -> None:
            async with gate:
                await connection.send("POST", path_of(manifest), body=manifest)

        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
        await connection.send("POST", "/api/v1/namespaces", body=namespace)
        await asyncio.gather(*map(one, others))
        # Last: webhooks are looked up at each write.
        await asyncio.gather(*map(one, hooks))


if __name__ == "__main__":
    main()
