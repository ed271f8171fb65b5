"""Every object of a real cluster, read out of a snapshot, is what its API server shows."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from shipkeeper.backup.discovery import discover
from shipkeeper.etcd.browse import Browser
from shipkeeper.etcd.encrypted import Keys
from shipkeeper.etcd.registry import place_of
from shipkeeper.etcd.snapshot import open_snapshot
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.errors import ApiError, NotFoundError
from shipkeeper.sandbox import names
from shipkeeper.sandbox.record import read_record
from shipkeeper.sandbox.sandbox import Sandbox
from tests.backup import rich
from tests.backup.cluster import Cluster, Manifest, fresh
from tests.etcd.world import run
from tests.nodes.world import options_of

# Objects of a kind that are asked for beside those made here: other tests leave thousands.
MANY = 20


def members_of(sandbox: Sandbox) -> list[str]:
    """The flags that reach a sandbox's etcd."""
    layout = sandbox.layout
    return [
        f"--endpoints=https://127.0.0.1:{read_record(layout).ports.etcd}",
        f"--cacert={layout.certificate(names.ETCD_CA)}",
        f"--cert={layout.certificate(names.ETCD_CLIENT)}",
        f"--key={layout.key(names.ETCD_CLIENT)}",
    ]


class Shown:
    """Objects as the API server shows them in the version that is stored."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._plurals: dict[str, dict[str, str]] = {}

    async def plurals(self, api_version: str) -> dict[str, str]:
        if api_version not in self._plurals:
            try:
                answer: Any = await self._ask(_root(api_version))
            except NotFoundError:
                answer = {"resources": []}
            self._plurals[api_version] = {
                each["kind"]: each["name"]
                for each in answer["resources"]
                if "/" not in each["name"]
            }
        return self._plurals[api_version]

    async def get(self, api_version: str, kind: str, namespace: str, name: str) -> Any:
        plural = (await self.plurals(api_version)).get(kind)
        if plural is None:
            return None
        middle = f"/namespaces/{namespace}" if namespace else ""
        try:
            return await self._ask(f"{_root(api_version)}{middle}/{plural}/{name}")
        except ApiError:
            return None

    async def _ask(self, path: str) -> Any:
        return json.loads(await self._connection.send("GET", path))


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


async def build(cluster: Cluster, name: str) -> list[Manifest]:
    """Create a bit of everything that the server knows, in the version that it serves."""
    created: list[Manifest] = []
    served = (await discover(cluster.connection)).served
    for each in (*rich.cluster_scoped(name), *rich.namespaced(name), rich.widget("root", name)):
        group, _, version = each["apiVersion"].rpartition("/")
        for found in dict.fromkeys((version, "v1beta1", "v2beta2")):
            api_version = f"{group}/{found}" if group else found
            if group.endswith("example.com") or served.find(api_version, each["kind"]):
                created.append({**each, "apiVersion": api_version})
                await cluster.create(created[-1])
                break
    return created


async def test_every_object_is_what_the_api_server_shows(sandbox: Sandbox, tmp_path: Path) -> None:
    async with connect(options_of(sandbox)) as connection:
        cluster = Cluster(connection)
        name = fresh("etcd")
        created = await build(cluster, name)
        try:
            await _compare(sandbox, connection, tmp_path / "snapshot.db", name)
        finally:
            # Its webhooks would let nobody create anything, its pods would wait for nodes, and a
            # check of an upgrade would name its flow schemas.
            groups = ("admissionregistration.", "flowcontrol.")
            gates = [each for each in created if each["apiVersion"].startswith(groups)]
            spaces = [each for each in created if each["kind"] == "Namespace"]
            await cluster.delete(*spaces, *gates)


async def _compare(sandbox: Sandbox, connection: Connection, file: Path, name: str) -> None:
    saved = run("save", str(file), *members_of(sandbox))
    assert saved.returncode == 0, saved.stderr
    shown = Shown(connection)
    kinds: set[str] = set()
    asked: Counter[str] = Counter()
    with open_snapshot(file) as snapshot:
        browser = Browser(snapshot, Keys())
        for row in browser.index.latest():
            place = place_of(row.key.decode())
            if place is None or row.is_gone:
                continue
            asked[place.resource] += 1
            if asked[place.resource] > MANY and name not in f"{place.namespace}/{place.name}":
                continue
            ours = browser.manifest(row)
            kind = f"{ours['apiVersion']} {ours['kind']}"
            theirs = await shown.get(ours["apiVersion"], ours["kind"], place.namespace, place.name)
            if theirs is None or theirs["metadata"]["resourceVersion"] != str(row.main):
                continue  # It was changed or deleted since.
            assert ours == theirs, row.key
            kinds.add(kind)
    assert len(kinds) > 35, kinds
