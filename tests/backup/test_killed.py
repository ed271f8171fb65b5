"""A restore killed with SIGKILL at every request that writes, and run again.

By default before one is sent and after the next, with SHIPKEEPER_EXHAUSTIVE=1 both of each.
"""

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from shipkeeper.backup.archive import open_archive
from shipkeeper.backup.comparing import ArchiveSide, LiveSide, compare
from shipkeeper.backup.opening import Place, create_repository, open_repository
from shipkeeper.backup.restore_options import RestoreOptions
from shipkeeper.backup.selection import Selection
from shipkeeper.kube.connection import Connection
from shipkeeper.sandbox.sandbox import Sandbox
from tests.backup.cluster import PATIENCE, Cluster, Manifest, back_up, config_map, fresh, manifest
from tests.backup.dying import Request, restore
from tests.backup.rich import owned_by
from tests.forks import Fork

IS_EXHAUSTIVE = os.environ.get("SHIPKEEPER_EXHAUSTIVE") == "1"
KILLED = -9


def closed_webhook(name: str, namespace: str) -> Manifest:
    """A webhook that refuses every ConfigMap and Secret of a namespace, as nobody answers."""
    webhook = {
        "name": f"{name}.example.com",
        "clientConfig": {"service": {"namespace": namespace, "name": "nobody"}},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["configmaps", "secrets"],
            }
        ],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
        "timeoutSeconds": 1,
    }
    kind = "admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration"
    return manifest(kind, name, webhooks=[webhook])


async def test_killed_at_every_write_it_converges_and_webhooks_are_back(
    newest: Sandbox, new: Connection, tmp_path: Path
) -> None:
    cluster, name = Cluster(new), fresh("killed")
    place = Place(
        url=str(tmp_path / "repository"),
        key=str(tmp_path / "writer.key"),
        identity=str(tmp_path / "reader.age"),
    )
    await create_repository(place, ())
    root, webhook = config_map("root", name, a="1"), closed_webhook(name, name)
    await cluster.create(manifest("v1 Namespace", name), root)
    await cluster.create(await owned_by(cluster, root, manifest("v1 Secret", "leaf", name)))
    chosen = Selection(namespaces=(name,), kinds=("cm", "secret"))
    async with open_repository(place) as repository:
        await back_up(cluster, repository, Selection(namespaces=(name,)))
    await cluster.create(webhook)
    before = essence(await cluster.get(webhook))

    point = 0
    while True:
        point += 1
        died: list[bool] = []
        for is_sent in (False, True) if IS_EXHAUSTIVE else (point % 2 == 0,):
            await cluster.delete(root, manifest("v1 Secret", "leaf", name))
            request = Request(
                kubeconfig=str(newest.kubeconfig),
                journal=str(tmp_path / f"{point}-{is_sent}.db"),
                place=place,
                options=RestoreOptions(selection=chosen),
                outcome=str(tmp_path / "outcome"),
                dies_at=point,
                is_sent=is_sent,
            )
            code = await in_process(request)
            assert code in (0, KILLED), f"point {point}: {told(request, code)}"
            died.append(code == KILLED)
            if code == KILLED:
                again = msgspec.structs.replace(request, dies_at=0)
                code = await in_process(again)
                assert code == 0, f"the rerun after point {point}: {told(again, code)}"
            assert essence(await cluster.get(webhook)) == before, f"point {point}"
            await assert_restored(cluster, place, name)
        if not any(died):
            break
    # The lock taken and given back, the webhook quieted and woken, two objects made.
    assert point > 6
    await cluster.delete(webhook, manifest("v1 Namespace", name))


def essence(found: Manifest) -> Any:
    """What a webhook configuration is, but for the traces of its writing."""
    kept = {key: found["metadata"].get(key) for key in ("annotations", "labels", "uid")}
    return (found["webhooks"], kept)


async def assert_restored(cluster: Cluster, place: Place, name: str) -> None:
    """Everything is as in the backup, under its owner of now."""
    async with open_repository(place) as repository:
        side = ArchiveSide(await open_archive(repository, "latest"))
        found = await compare(
            side,
            LiveSide(cluster.connection),
            Selection(namespaces=(name,), kinds=("cm", "secret")),
        )
    assert found.changes == ()
    leaf = await cluster.get(manifest("v1 Secret", "leaf", name))
    root = await cluster.get(config_map("root", name))
    (reference,) = leaf["metadata"]["ownerReferences"]
    assert reference["uid"] == root["metadata"]["uid"]


async def in_process(request: Request) -> int | None:
    """Run a request in a fresh process; its exit code, None if it did not end in time."""

    def run() -> int | None:
        Path(request.outcome).unlink(missing_ok=True)
        fork = Fork(partial(restore, msgspec.json.encode(request)))
        try:
            return fork.wait(PATIENCE)
        except TimeoutError:
            return None
        finally:
            fork.kill()

    return await asyncio.to_thread(run)


def told(request: Request, code: int | None) -> str:
    """What became of a process, in its own words if it left any."""
    outcome = Path(request.outcome)
    words = outcome.read_text() if outcome.exists() else "it left no word"
    return f"{words} (exit code {code})" if code is not None else "it did not end in time"
