"""Beside a real API server: ways walked, who-can asked, near misses mended, audits restricted."""

from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest

from shipkeeper.access.attributes import User
from shipkeeper.access.audit import audit
from shipkeeper.access.chain import Chain
from shipkeeper.access.explain import explain
from shipkeeper.access.kinds import EVERY_KIND
from shipkeeper.access.observe import observe
from shipkeeper.access.words import question
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.sandbox.sandbox import Sandbox
from tests.access.flips import flips, path_of, spec_of
from tests.access.robber import Robber, ways_of
from tests.access.robbery import ROBBERIES
from tests.access.ways import ALSO, NAMESPACE, WAYS, Way, bound, rule
from tests.access.world import ask, connected, create, delete, until_allowed

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_CLUSTER_KINDS = ("clusterrolebindings", "clusterroles")


def test_every_way_is_walked() -> None:
    assert set(ROBBERIES) == {way.name for way in WAYS}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
async def test_a_way_leads_there(newest: Sandbox, town: Connection, way: Way) -> None:
    await create(town, *way.objects)
    try:
        found = {each.rule for each in await ways_of(town, f"user/{way.user}")}
        assert found & ({way.rule} | ALSO.get(way.name, set()))
        async with AsyncExitStack() as stack:
            own = await stack.enter_async_context(connected(newest.issue_kubeconfig(way.user)))
            robber = Robber(newest, way.user, own, town, stack)
            await _known(town, way)
            await ROBBERIES[way.name](robber)
    finally:
        gains = [f"{_RBAC}/{kind}/{way.user}-gain" for kind in _CLUSTER_KINDS]
        await _remove(town, [*gains, *map(path_of, reversed(way.objects))])


async def _known(admin: Connection, way: Way) -> None:
    """Wait until the server's authorizer has the new role and binding."""
    first = way.rules[0]
    resource, _, subresource = first["resources"][0].partition("/")
    attributes = {
        "verb": first["verbs"][0],
        "group": first["apiGroups"][0],
        "resource": resource,
        "subresource": subresource,
        "namespace": way.namespace,
        "name": first.get("resourceNames", [""])[0],
    }
    spec = {"user": way.user, "resourceAttributes": attributes}
    while not (await ask(admin, spec)).allowed:
        pass


MISSES = (
    ("way-miss", "delete", "pods", "ways"),
    ("way-miss", "get", "secrets", "ways"),
    ("way-miss", "get", "pods", "kube-system"),
    ("Way-Miss", "get", "pods", "ways"),
    ("way-gone", "get", "pods", "ways"),
)


@pytest.mark.parametrize("miss", MISSES, ids="-".join)
async def test_a_mend_flips_the_answer(town: Connection, miss: tuple[str, str, str, str]) -> None:
    user, verb, resource, namespace = miss
    gone = bound("gone", NAMESPACE, ())[1]
    objects = [*bound("miss", NAMESPACE, (rule("get", "pods"),)), gone]
    await create(town, *objects)
    try:
        chain = Chain(await observe(town))
        asked = question(verb, resource, "", namespace)
        found = explain(chain, asked.of(User(name=user)))
        assert not found.answer.allowed
        assert found.near_misses
        for each in found.near_misses:
            assert await flips(town, town, chain.policy, each, spec_of(User(name=user), asked))
    finally:
        await delete(town, *objects)


async def _remove(admin: Connection, paths: list[str]) -> None:
    for path in paths:
        with suppress(NotFoundError):
            await admin.send("DELETE", path)


@pytest.mark.parametrize(
    ("path", "rules"),
    [
        ("/version", ()),
        ("/api/v1/pods", (rule("list", "pods"),)),
        (f"{_RBAC}/roles", (rule("list", "roles clusterroles", "rbac.authorization.k8s.io"),)),
        ("/api/v1/secrets", (rule("list", "namespaces secrets"),)),
    ],
)
async def test_who_may_read_less_never_passes_more(
    newest: Sandbox, town: Connection, path: str, rules: tuple[dict[str, Any], ...]
) -> None:
    objects = bound("auditor", "", rules)
    await create(town, *objects)
    try:
        async with connected(newest.issue_kubeconfig("way-auditor")) as own:
            await until_allowed(own, path)
            everything = audit(await observe(town, EVERY_KIND))
            less = audit(await observe(own, EVERY_KIND))
        assert set(less.passed) <= set(everything.passed)
        assert less.unchecked
    finally:
        await _remove(town, [path_of(each) for each in objects])
