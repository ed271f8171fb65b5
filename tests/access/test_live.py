"""Beside a real API server: ways walked, who-can asked, near misses mended, audits restricted."""

from contextlib import AsyncExitStack, nullcontext, suppress
from typing import Any

import pytest
from aiohttp import WSServerHandshakeError

from shipkeeper.access.attributes import User
from shipkeeper.access.audit import audit
from shipkeeper.access.chain import Chain
from shipkeeper.access.explain import explain
from shipkeeper.access.kinds import EVERY_KIND, PolicyKind
from shipkeeper.access.observe import observe
from shipkeeper.access.words import question
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import ForbiddenError, NotFoundError
from shipkeeper.sandbox.sandbox import Sandbox
from tests.access.flips import flips, path_of, spec_of
from tests.access.robber import Robber, minted, minted_for, pod, ways_of
from tests.access.robbery import ROBBERIES
from tests.access.servers import with_credentials
from tests.access.ways import ALSO, LOOK_ALIKES, NAMESPACE, WAYS, Way, bound, crew, granted, rule
from tests.access.websocket import printed
from tests.access.world import ask, connected, create, delete, until_allowed

# One test looks for it by itself: what uses it is to be seen beforehand (tests/sharing.py).
pytestmark = pytest.mark.usefixtures("oldest")

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_CLUSTER_KINDS = ("clusterrolebindings", "clusterroles")


def test_every_way_is_walked() -> None:
    assert set(ROBBERIES) == {way.name for way in WAYS}
    # 17 to 19 are opened by no role of Kubernetes' own: see test_live_beyond.
    elsewhere = {f"path-{number}" for number in (17, 18, 19)}
    every = {f"path-{number:02}" for number in range(1, 21)}
    assert {way.rule for way in WAYS} == every - elsewhere


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
        await _remove(town, gains)
        await delete(town, *way.objects)


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


# What looks like a way, and what the server must refuse to whoever holds it.
SHAMS = {
    "exec-another": "exec",
    "exec-one-elsewhere": "exec",
    "pods-by-name": "create-pods",
    "bindings-by-name": "bind",
    "tokens-of-nobodies": "tokens",
    "impersonate-user-that-is-an-account": "impersonate-account",
    "constrained-masters": "impersonate",
    "constrained-group-of-an-account": "constrained-group",
    "constrained-group-who": "constrained-group",
    "constrained-another-group": "constrained-group",
    "constrained-group-alone": "constrained-group",
    "constrained-another-node": "constrained-node",
    "constrained-node-who": "constrained-node",
    "constrained-node-what": "constrained-node",
    "constrained-node-of-another-mode": "constrained-node",
    "constrained-node-for-another-account": "constrained-node",
    "constrained-node-for-bindings": "constrained-node",
    "node-of-no-pod": "constrained-node",
    "constrained-user-that-is-an-account": "constrained-account",
}


@pytest.mark.parametrize("name", SHAMS)
async def test_a_sham_leads_nowhere(newest: Sandbox, town: Connection, name: str) -> None:
    namespace, rules = LOOK_ALIKES[name]
    way = Way(name=name, rule="", rules=rules, namespace=namespace, besides=(crew(),))
    await create(town, *way.objects)
    try:
        assert not await ways_of(town, f"user/{way.user}")
        async with AsyncExitStack() as stack:
            own = await stack.enter_async_context(connected(newest.issue_kubeconfig(way.user)))
            robber = Robber(newest, way.user, own, town, stack)
            await _known(town, way)
            with pytest.raises(ForbiddenError):
                await ROBBERIES[SHAMS[name]](robber)
    finally:
        await delete(town, *way.objects)


async def test_a_node_may_not_bind_roles(newest: Sandbox, town: Connection) -> None:
    """9: what may be done in a node's name is no more than the node may do."""
    namespace, rules = LOOK_ALIKES["constrained-node-for-bindings"]
    way = Way(name="node-binds", rule="", rules=rules, namespace=namespace)
    await create(town, *way.objects)
    try:
        async with AsyncExitStack() as stack:
            own = await stack.enter_async_context(connected(newest.issue_kubeconfig(way.user)))
            robber = Robber(newest, way.user, own, town, stack)
            await _known(town, way)
            other = await robber.as_other("system:node:ways-node")
            as_node = Robber(newest, way.user, other, town, stack)
            with pytest.raises(ForbiddenError, match=r'User "system:node:ways-node" cannot create'):
                await as_node.send("POST", f"{_RBAC}/clusterrolebindings", way.objects[1])
    finally:
        await delete(town, *way.objects)


@pytest.mark.parametrize("may", ["create pods", "list secrets"])
async def test_what_is_done_in_anothers_name_is_theirs_to_do(
    newest: Sandbox, town: Connection, may: str
) -> None:
    """9: who is impersonated is worth no more than what both of them may do."""
    name = f"clerk-{may.partition(' ')[0]}"
    rules = (
        rule("impersonate:user-info", "users", "authentication.k8s.io", name),
        rule("impersonate-on:user-info:list", "secrets"),
    )
    way = Way(name=f"as-{name}", rule="path-09", rules=rules, namespace="")
    clerk = bound(name, "", (rule(*may.split()),))
    clerk[1]["subjects"][0]["name"] = name
    await create(town, *clerk, *way.objects)
    try:
        is_way = may == "list secrets"
        found = {each.rule for each in await ways_of(town, f"user/{way.user}")}
        assert found == ({way.rule} if is_way else set())
        async with AsyncExitStack() as stack:
            own = await stack.enter_async_context(connected(newest.issue_kubeconfig(way.user)))
            robber = Robber(newest, way.user, own, town, stack)
            await _known(town, way)
            other = await robber.as_other(name)
            refused = pytest.raises(ForbiddenError, match=f'User "{name}" cannot list')
            with nullcontext() if is_way else refused:
                await other.send("GET", "/api/v1/secrets")
    finally:
        await delete(town, *clerk, *way.objects)


@pytest.mark.parametrize("names", ["", "*", "ways-node"])
async def test_a_kubelet_is_impersonated_by_a_pod_beside_it(
    newest: Sandbox, town: Connection, names: str
) -> None:
    """9: the node that a ServiceAccount's pod runs on, and no other one; not granted by name."""
    is_way = names != "ways-node"
    account = {"kind": "ServiceAccount", "name": "neighbour", "namespace": NAMESPACE}
    rules = (
        rule("impersonate:associated-node", "nodes", "authentication.k8s.io", names),
        rule("impersonate-on:associated-node:create", "serviceaccounts/token"),
    )
    objects = bound("neighbour", "", rules)
    objects[1]["subjects"] = [account]
    beside = pod("neighbour", serviceAccountName="neighbour", nodeName="ways-node")
    beside["spec"]["tolerations"] = [{"operator": "Exists"}]
    beside["metadata"]["namespace"] = NAMESPACE
    metadata = {"name": "neighbour", "namespace": NAMESPACE}
    objects = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        *objects,
    ]
    await create(town, *objects)
    try:
        name = f"system:serviceaccount:{NAMESPACE}:neighbour"
        assert not await ways_of(town, f"serviceaccount/{name}")
        await create(town, beside)
        found = {each.rule for each in await ways_of(town, f"serviceaccount/{name}")}
        assert found == ({"path-09"} if is_way else set())
        attributes = {
            "verb": "impersonate-on:associated-node:create",
            "resource": "serviceaccounts",
            "subresource": "token",
        }
        while not (await ask(town, {"user": name, "resourceAttributes": attributes})).allowed:
            pass
        async with AsyncExitStack() as stack:
            admin = Robber(newest, "neighbour", town, town, stack)
            for is_beside in (False, True):
                running = await admin.send("GET", f"/api/v1/namespaces/{NAMESPACE}/pods/neighbour")
                token = (
                    await minted_for(admin, NAMESPACE, "neighbour", running)
                    if is_beside
                    else await minted(admin, NAMESPACE, "neighbour")
                )
                is_let = is_beside and is_way
                with nullcontext() if is_let else pytest.raises(ForbiddenError):
                    await _as_kubelet_with(admin, token)
    finally:
        await delete(town, beside, *objects)


async def _as_kubelet_with(admin: Robber, token: str) -> None:
    own = with_credentials(admin.kubeconfig, admin.kubeconfig.with_name("own"), {"token": token})
    robber = Robber(
        admin.sandbox, "neighbour-robber", admin.own, admin.admin, admin.stack, kubeconfig=own
    )
    await ROBBERIES["constrained-node"](robber)


@pytest.mark.parametrize("is_old", [True, False], ids=["oldest", "newest"])
async def test_get_exec_by_websocket(request: pytest.FixtureRequest, *, is_old: bool) -> None:
    """4: a websocket begins as a GET; since 1.35 that takes `create` as well."""
    sandbox: Sandbox = request.getfixturevalue("oldest" if is_old else "newest")
    keeper = {"name": "keeper", "namespace": "way-exec"}
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "way-exec"}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": keeper},
        granted("keeper", "cluster-admin", {"kind": "ServiceAccount", **keeper}),
        *bound("get-exec", "", (rule("get", "pods pods/exec"),)),
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "exec-node"}},
    ]
    running = pod(
        "running",
        serviceAccountName="keeper",
        nodeName="exec-node",
        tolerations=[{"operator": "Exists"}],
    )
    running["metadata"]["namespace"] = "way-exec"
    async with connected(sandbox.kubeconfig) as admin:
        await create(admin, *objects, running)
        try:
            path = "/api/v1/namespaces/way-exec/pods/running"
            kubeconfig = sandbox.issue_kubeconfig("way-get-exec")
            async with connected(kubeconfig) as own:
                await until_allowed(own, path)
            with pytest.raises(WSServerHandshakeError) as refused:
                await printed(kubeconfig.read_text(), f"{path}/exec?command=id&stdout=1")
            # There is no kubelet behind it: let through is whoever gets as far as looking for one.
            assert (refused.value.status == 403) is not is_old
            assert bool(await ways_of(admin, "user/way-get-exec")) is is_old
        finally:
            await delete(admin, *objects)


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


_RBAC_KINDS = "roles clusterroles rolebindings clusterrolebindings"
_ROLES = frozenset({"unread-role", "unread-clusterrole"})
_BINDINGS = frozenset({"unread-rolebinding", "unread-clusterrolebinding"})
_LOOK_AT = {
    "admin": _BINDINGS,
    "dangling-role": _ROLES | _BINDINGS,
    "legacy-token": frozenset({"unread-secret"}),
    "path-15": _ROLES,
    "unused-role": _ROLES | _BINDINGS,
}
# Ways begin at a binding, and lead over pods and the accounts that there are.
_WAYS = _ROLES | _BINDINGS | {"unread-pod", "unread-serviceaccount"}


def _unread(kind: PolicyKind) -> str:
    return f"unread-{kind.kind.lower()}"


def _looks_at(rule: str) -> frozenset[str]:
    """The gaps by which a rule of ways or disorder may go unsaid; KeyError for an unknown one."""
    return _WAYS if rule.startswith("path-") and rule not in _LOOK_AT else _LOOK_AT[rule]


@pytest.mark.parametrize(
    ("path", "rules"),
    [
        ("/version", ()),
        ("/api/v1/pods", (rule("list", "pods"),)),
        (f"{_RBAC}/roles", (rule("list", "roles clusterroles", "rbac.authorization.k8s.io"),)),
        (f"{_RBAC}/rolebindings", (rule("list", _RBAC_KINDS, "rbac.authorization.k8s.io"),)),
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
        # What fails does not go unsaid: it fails still, or is not evaluated; of ways and disorder,
        # which go through many objects, those that could not be read are named.
        unread = {each.rule for each in less.unchecked if each.rule.startswith("unread-")}
        readable = {plural for each in rules for plural in each["resources"]}
        unreadable = {_unread(each) for each in EVERY_KIND if each.plural not in readable}
        assert unread == unreadable | {"unread-authorizers"}
        told = {each.rule for each in (*less.findings, *less.unchecked)}
        unsaid = {each.rule for each in everything.findings} - told
        assert not {each for each in unsaid if each.startswith("cis-")}
        assert not [rule for rule in unsaid if not _looks_at(rule) & unread]
    finally:
        await _remove(town, [path_of(each) for each in objects])
