"""Seeds put into a cluster, and what a check finds held against them."""

import asyncio
import json
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.sandbox.sandbox import Sandbox
from tests.cli.run import SHIPKEEPER
from tests.forks import run_forked
from tests.upgrade.seeds import NAMESPACE, Json, Seed, release

MATTERS = frozenset({"high", "medium"})


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """How well seeds were told apart."""

    problems: int
    look_alikes: int
    missed: tuple[str, ...]
    wrong: tuple[str, ...]

    @property
    def precision(self) -> float:
        found = self.problems - len(self.missed)
        return found / (found + len(self.wrong)) if found else 0.0

    @property
    def recall(self) -> float:
        return (self.problems - len(self.missed)) / self.problems


async def plant(sandbox: Sandbox, seeds: Sequence[Seed], folder: Path) -> None:
    """Create every object, write every manifest."""
    options = ConnectionOptions(kubeconfig=str(sandbox.kubeconfig))
    async with connect(options) as connection:
        await _create(connection, _namespace())
        # Webhooks last: those that fail closed would be in the way of the others.
        for seed in sorted(seeds, key=_is_hook):
            if seed.where == "manifest":
                text = seed.text or json.dumps(seed.objects[0])
                (folder / f"{seed.name}.yaml").write_text(text)
            elif seed.where == "helm":
                await _create(connection, release(seed, 1))
            else:
                for each in seed.objects:
                    await _create(connection, each)
                    if seed.status is not None:
                        await _status(connection, each, seed.status)


def _is_hook(seed: Seed) -> bool:
    return any(each["kind"].endswith("WebhookConfiguration") for each in seed.objects)


def _namespace() -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}


async def _create(connection: Connection, found: Json) -> None:
    await connection.send(
        "POST", await _path(connection, found), query={"fieldManager": "operator"}, body=found
    )


async def _status(connection: Connection, found: Json, status: Json) -> None:
    path = f"{await _path(connection, found)}/{found['metadata']['name']}/status"
    await connection.send(
        "PATCH", path, body={"status": status}, content_type="application/merge-patch+json"
    )


async def _path(connection: Connection, found: Json) -> str:
    version, kind = found["apiVersion"], found["kind"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    listed = json.loads(await connection.send("GET", root))
    plural = next(
        each["name"]
        for each in listed["resources"]
        if each["kind"] == kind and "/" not in each["name"]
    )
    namespace = found["metadata"].get("namespace")
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


def run_check(sandbox: Sandbox, target: int, folder: Path, *more: str) -> Any:
    """What `shipkeeper upgrade check` prints."""
    words = (SHIPKEEPER, "upgrade", "check", "--to", f"v1.{target}", "-f", str(folder))
    rest = ("--kubeconfig", str(sandbox.kubeconfig), *(more or ("-o", "json")))
    answer = run_forked([*words, *rest], os.environ, timeout=300)
    assert answer.returncode in (0, 4), answer.stderr
    return json.loads(answer.stdout) if not more else answer.stdout


def score(seeds: Sequence[Seed], findings: Iterable[Json]) -> Score:
    """Hold findings that matter against the seeds; every one that no seed explains is wrong."""
    found = {(each["rule"], each["target"]) for each in findings if each["severity"] in MATTERS}
    wanted = {(seed.rule, seed.target): seed.name for seed in seeds if seed.is_problem}
    return Score(
        problems=len(wanted),
        look_alikes=sum(not seed.is_problem for seed in seeds),
        missed=tuple(name for key, name in wanted.items() if key not in found),
        wrong=tuple(f"{rule} {target}" for rule, target in sorted(found - wanted.keys())),
    )


async def clear_away(sandbox: Sandbox, seeds: Sequence[Seed]) -> None:
    """Delete what was planted, webhooks first."""
    options = ConnectionOptions(kubeconfig=str(sandbox.kubeconfig))
    async with connect(options) as connection:
        for seed in sorted(seeds, key=lambda each: not _is_hook(each)):
            for each in seed.objects if seed.where == "cluster" else ():
                if each["metadata"].get("namespace") != NAMESPACE:
                    with suppress(NotFoundError, StopIteration):
                        path = await _path(connection, each)
                        await connection.send("DELETE", f"{path}/{each['metadata']['name']}")
        await connection.send("DELETE", f"/api/v1/namespaces/{NAMESPACE}")
        # Others plant theirs in one of that name.
        async with asyncio.timeout(120):
            while await _is_there(connection):
                await asyncio.sleep(0.2)


async def _is_there(connection: Connection) -> bool:
    try:
        await connection.send("GET", f"/api/v1/namespaces/{NAMESPACE}")
    except NotFoundError:
        return False
    return True
