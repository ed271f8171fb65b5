"""An operator that only looks: what it still does, and what a thief of its token can write."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest

from shipkeeper.engine.tenure import NAME as LOCK
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.errors import ApiError, ForbiddenError
from shipkeeper.model.version import Version
from shipkeeper.operator.api.kind import GROUP
from shipkeeper.operator.api.kinds import KINDS
from shipkeeper.operator.api.reports import ACCESS_REPORT
from shipkeeper.operator.grants import EXTRAS, only_looks
from shipkeeper.operator.manifests import ManifestOptions, as_text, manifests
from shipkeeper.operator.run import LEASE
from tests.cli.run import run_cli
from tests.nodes.world import World
from tests.operator.harbour import Harbour

LOOKS = tuple(each for each in EXTRAS if only_looks(each))
READER = "shipkeeper-reader"
_WRITES = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}
# To get these is to act through them.
_WAYS_IN = {"attach", "exec", "portforward", "proxy"}
_AT_ONCE = 16


class Attempt(msgspec.Struct, frozen=True):
    """A write that is tried; `path` is where, and `what` how it is told."""

    method: str
    path: str
    what: str


async def attempts(connection: Connection, namespaces: tuple[str, ...]) -> AsyncIterator[Attempt]:
    """Every verb that writes, of everything that the API server serves, in each namespace."""
    groups = msgspec.json.decode(await connection.send("GET", "/apis"))["groups"]
    versions = [version["groupVersion"] for group in groups for version in group["versions"]]
    for base in ("/api/v1", *(f"/apis/{each}" for each in versions)):
        served = msgspec.json.decode(await connection.send("GET", base))["resources"]
        for resource in served:
            places = namespaces if resource["namespaced"] else ("",)
            for place in places:
                for each in _of_resource(base, resource, place):
                    yield each


def _of_resource(base: str, resource: dict[str, Any], namespace: str) -> Iterator[Attempt]:
    plural, _, part = resource["name"].partition("/")
    prefix = f"{base}/namespaces/{namespace}" if namespace else base
    group = base.removeprefix("/apis/").partition("/")[0] if base != "/api/v1" else ""
    told = f"{resource['name']}.{group} {namespace}".replace(". ", " ").strip()
    names = (LEASE, LOCK) if plural == "leases" else ("x",)
    for name in names:
        one = f"{prefix}/{plural}/{name}" + (f"/{part}" if part else "")
        for verb in resource["verbs"]:
            if verb == "deletecollection":
                yield Attempt("DELETE", f"{prefix}/{plural}", f"{verb} {told}")
            elif verb in _WRITES:
                path = one if part or verb != "create" else f"{prefix}/{plural}"
                yield Attempt(_WRITES[verb], path, f"{verb} {told}")
            elif verb == "get" and part in _WAYS_IN:
                yield Attempt("GET", one, f"{verb} {told}")


async def succeeds(connection: Connection, attempt: Attempt) -> bool:
    """Whether the API server authorizes a write; whatever comes of it then is of no matter."""
    try:
        await connection.send(
            attempt.method,
            attempt.path,
            query={"dryRun": "All"},
            body={} if attempt.method != "GET" else None,
            content_type="application/merge-patch+json"
            if attempt.method == "PATCH"
            else "application/json",
        )
    except ForbiddenError as error:
        # Admission forbids, too: by other words, and only what was authorized.
        return " cannot " not in error.message
    except ApiError:
        return True
    return True


async def test_a_compromised_read_only_replica_can_write_nothing(
    world: World, harbour: Harbour
) -> None:
    """But the reports themselves, and that it leads; not even dry, and by no version of a group."""
    options = ManifestOptions(
        version=Version.parse(world.sandbox.version),
        image="shipkeeper:test",
        lease=LEASE,
        name=READER,
        namespace=READER,
        replicas=0,
        allowed=LOOKS,
        read_only=True,
    )
    made = [each for each in manifests(options) if each["kind"] != "CustomResourceDefinition"]
    await harbour.kubectl("apply", "--server-side", "-f", "-", given=as_text(made))
    kubeconfig = harbour.directory / "stolen.kubeconfig"
    await harbour.log_in(READER, kubeconfig, READER)
    places = (READER, "default", "kube-system", world.name)
    at_once = asyncio.Semaphore(_AT_ONCE)
    async with connect(ConnectionOptions(kubeconfig=str(kubeconfig))) as stolen:

        async def told(attempt: Attempt) -> str:
            async with at_once:
                return attempt.what if await succeeds(stolen, attempt) else ""

        tried = [each async for each in attempts(harbour.connection, places)]
        found = set(await asyncio.gather(*map(told, tried))) - {""}
    await harbour.kubectl("delete", "--wait=false", "-f", "-", given=as_text(made))
    assert len(tried) > 1000
    mine = {
        *(f"patch {kind.plural}/status.{GROUP}" for kind in KINDS),
        *(f"{verb} configmaps {READER}" for verb in ("create", "patch")),
        *(f"{verb} leases.coordination.k8s.io {READER}" for verb in ("create", "patch")),
        "create events default",
    }
    # Everybody may ask what they may; nothing is kept of that.
    asks = {each for each in found if each.startswith("create selfsubject")}
    assert found - asks == mine


async def test_it_reports_and_says_what_it_may_not_do(world: World, harbour: Harbour) -> None:
    await harbour.set_up(read_only=True, allowed=LOOKS)
    nodes = await world.add_nodes(2)
    harbour.start()
    await harbour.create(ACCESS_REPORT, "looked", {"schedule": {"cron": "0 0 29 2 *"}})
    await harbour.kubectl("wait", "--for=condition=Checked", "ar/looked", "--timeout=400s")
    await harbour.maintain("forbidden", nodes)
    status = await harbour.stands("forbidden", lambda status: bool(status.message))
    assert (status.phase, "cannot patch" in status.message) == ("Waiting", True), status
    assert not any([(await world.node(each)).spec.unschedulable for each in nodes])
    await harbour.delete("forbidden")


@pytest.mark.parametrize("more", [("--allow", "backups"), ("--host-pods", "kube-system")])
async def test_what_writes_does_not_go_with_it(world: World, more: tuple[str, ...]) -> None:
    said = await run_cli(world.sandbox, "operator", "manifests", "--read-only", *more)
    assert said.returncode == 2
    assert more[0] in said.stderr


async def test_what_looks_does(world: World) -> None:
    allowed = [word for each in LOOKS for word in ("--allow", each)]
    said = await run_cli(world.sandbox, "operator", "manifests", "--read-only", *allowed)
    assert said.returncode == 0
    assert "pods/eviction" not in said.stdout
