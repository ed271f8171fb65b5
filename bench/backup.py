#!/usr/bin/env -S .venv/bin/python
"""Backup and restore of many objects, beside bare LISTs, bare POSTs, kubectl and Velero.

python bench/backup.py [--json] [--objects 100000] [--kubernetes-version V]
"""

import argparse
import asyncio
import compileall
import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

import shipkeeper
from other_tools import ToolError
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.sandbox.assets import NEWEST
from shipkeeper.sandbox.sandbox import Sandbox
from velero import velero_backup
from world import KUBECTL, SHIPKEEPER, bench_sandbox, print_figures, say

NAMESPACES = 20
AT_ONCE = 48
PAGE = 500
ROUNDS = 3
GROUP = "bench.example.com"
# Of a hundred objects so many are of each kind; workloads have no replicas, so that what is
# measured stays as many objects as were made.
MIX = (("configmaps", 45), ("secrets", 25), ("widgets", 20), ("deployments", 10))
PATHS = {
    "configmaps": "/api/v1",
    "secrets": "/api/v1",
    "widgets": f"/apis/{GROUP}/v1",
    "deployments": "/apis/apps/v1",
}


def main() -> None:
    """Fill a sandbox, back it up, restore it into another one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--kubernetes-version", default=NEWEST)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = run(arguments.objects, arguments.kubernetes_version, Path(directory))
    print_figures(figures, as_json=arguments.json)


def run(objects: int, version: str, directory: Path) -> dict[str, Any]:
    environment = {"XDG_STATE_HOME": str(directory / "state")}
    # As an installed package is; some environments forbid Python to keep what it compiled.
    compileall.compile_dir(Path(shipkeeper.__file__).parent, quiet=1)
    with bench_sandbox(version) as sandbox:
        at_source = {**environment, "KUBECONFIG": str(sandbox.kubeconfig)}
        posts = within(sandbox, lambda connection: fill(connection, objects))
        say(f"{objects} objects made in {posts:.1f} s")
        rounds = [backup_round(sandbox, at_source, directory / str(n)) for n in range(ROUNDS)]
        lists, backup = min(each.lists for each in rounds), min(each.backup for each in rounds)
        peak = max(each.peak_mib for each in rounds)
        environment |= rounds[-1].environment
        at_source |= environment
        command(["backup", "create"], at_source)
        added = added_bytes(at_source)
        yaml = kubectl_yaml(at_source)
        beside = velero(sandbox, backup / objects)
    say(f"bare lists {lists:.2f} s, backup {backup:.2f} s, kubectl {yaml:.1f} s")
    with bench_sandbox(version) as sandbox:
        at_target = {**environment, "KUBECONFIG": str(sandbox.kubeconfig)}
        restore, restore_peak = command(
            ["backup", "restore", "--parallel", str(AT_ONCE)], at_target
        )
    return {
        "objects": objects,
        "raw_list_seconds": round(lists, 2),
        "backup_seconds": round(backup, 2),
        "backup_over_raw_list": round(backup / lists, 2),
        "kubectl_yaml_seconds": round(yaml, 2),
        "speedup_over_kubectl_yaml": round(yaml / backup, 1),
        "peak_mb": round(peak, 1),
        "raw_post_seconds": round(posts, 2),
        "restore_seconds": round(restore, 2),
        "restore_over_raw_post": round(restore / posts, 2),
        "restore_peak_mb": round(restore_peak, 1),
        "second_backup_bytes_ratio": round(added[-1] / added[0], 4),
        **beside,
    }


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """Bare lists, and right after them a first backup into a repository of its own."""

    lists: float
    backup: float
    peak_mib: float
    environment: dict[str, str]


def backup_round(sandbox: Sandbox, environment: dict[str, str], directory: Path) -> Round:
    repository = {
        "SHIPKEEPER_REPO": str(directory / "repository"),
        "SHIPKEEPER_KEY": str(directory / "writer.key"),
        "SHIPKEEPER_IDENTITY": str(directory / "reader.age"),
    }
    at_source = environment | repository
    command(["backup", "init"], at_source)
    lists = within(sandbox, bare_lists)
    backup, peak = command(["backup", "create"], at_source)
    say(f"bare lists {lists:.2f} s, backup {backup:.2f} s")
    return Round(lists=lists, backup=backup, peak_mib=peak, environment=repository)


def within(sandbox: Sandbox, work: Callable[[Connection], Awaitable[None]]) -> float:
    """The seconds that some requests to a sandbox take."""

    async def go() -> float:
        options = ConnectionOptions(kubeconfig=str(sandbox.kubeconfig))
        async with connect(options) as connection:
            began = time.monotonic()
            await work(connection)
            return time.monotonic() - began

    return asyncio.run(go())


async def fill(connection: Connection, objects: int) -> None:
    """Make all objects by bare POSTs, as many at a time as the restore later does."""
    await connection.send(
        "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body=definition()
    )
    for number in range(NAMESPACES):
        body = {"metadata": {"name": f"bench-{number}"}}
        await connection.send("POST", "/api/v1/namespaces", body=body)
    await asyncio.sleep(1)  # Until the definition is served.
    work = iter(range(objects))

    async def worker() -> None:
        for number in work:
            kind, body = one(number)
            namespace = f"bench-{number % NAMESPACES}"
            path = f"{PATHS[kind]}/namespaces/{namespace}/{kind}"
            await connection.send("POST", path, body=body)

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))


def one(number: int) -> tuple[str, dict[str, Any]]:
    """The n-th object: its kind and its manifest."""
    kind = _KIND_OF[number % 100]
    metadata = {"name": f"{kind[:-1]}-{number}", "labels": {"app": f"app-{number % 50}"}}
    text = f"{number:08d}-" * 40
    match kind:
        case "configmaps":
            return kind, {"metadata": metadata, "data": {"text": text}}
        case "secrets":
            return kind, {"metadata": metadata, "stringData": {"password": text}}
        case "widgets":
            head = {"apiVersion": f"{GROUP}/v1", "kind": "Widget"}
            return kind, {**head, "metadata": metadata, "spec": {"size": number, "text": text}}
        case _:
            return kind, {"metadata": metadata, "spec": deployment(number)}


_KIND_OF = [kind for kind, share in MIX for _ in range(share)]


def deployment(number: int) -> dict[str, Any]:
    labels = {"app": f"d-{number}"}
    container = {"name": "main", "image": "registry.k8s.io/pause:3.9"}
    return {
        "replicas": 0,
        "paused": True,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }


def definition() -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True}
    return {
        "metadata": {"name": f"widgets.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
        },
    }


async def bare_lists(connection: Connection) -> None:
    """Page through everything that was made, all kinds at once, and throw it away."""
    await asyncio.gather(*(bare_list(connection, f"{PATHS[kind]}/{kind}") for kind, _ in MIX))


async def bare_list(connection: Connection, path: str) -> None:
    token = ""
    while True:
        query = {"limit": str(PAGE)} | ({"continue": token} if token else {})
        body = await connection.send("GET", path, query=query)
        # The token stands at the beginning, of custom resources at the end; nothing is decoded.
        found = re.search(rb'"continue":"([^"]+)"', body[:1000] + body[-1000:])
        if found is None:
            return
        token = found[1].decode()


def command(arguments: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """Run shipkeeper; seconds and MiB of memory at most. Fails if the command does."""
    began = time.monotonic()
    process = subprocess.Popen(
        [SHIPKEEPER, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"shipkeeper {' '.join(arguments)} failed")
    return wall, usage.ru_maxrss / 1024


def added_bytes(environment: dict[str, str]) -> list[int]:
    """What each backup added to the repository."""
    listed = subprocess.run(
        [SHIPKEEPER, "backup", "list", "-o", "json"],
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
    )
    return [each["addedBytes"] for each in json.loads(listed.stdout)["items"]]


def kubectl_yaml(environment: dict[str, str]) -> float:
    kinds = ",".join(kind for kind, _ in MIX)
    began = time.monotonic()
    subprocess.run(
        [KUBECTL, "get", kinds, "-A", "-o", "yaml"],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.monotonic() - began


def velero(sandbox: Sandbox, ours: float) -> dict[str, Any]:
    """How much longer Velero takes for an object than our seconds; null, and why, without it."""
    kinds = ("configmaps", "secrets", f"widgets.{GROUP}", "deployments.apps")
    try:
        taken = velero_backup(sandbox, kinds)
    except ToolError as error:
        return {"velero_speedup": None, "velero_reason": str(error)}
    return {
        "velero_seconds": round(taken.seconds, 2),
        "velero_objects": taken.objects,
        "velero_speedup": round(taken.seconds / taken.objects / ours, 1),
    }


if __name__ == "__main__":
    main()
