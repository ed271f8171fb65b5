"""Every way is found under its number; what looks like one is not."""

from typing import Any

import msgspec
import pytest

from shipkeeper.access.abac import parse_abac
from shipkeeper.access.assembly import from_manifests
from shipkeeper.access.authorizers import from_modes
from shipkeeper.access.chain import Chain
from shipkeeper.access.controls.hygiene import disorder
from shipkeeper.access.escalation.findings import WayFinding, escalation_findings
from shipkeeper.access.escalation.graph import EscalationGraph
from shipkeeper.model.version import Version
from tests.access.fuzz import rbac
from tests.access.ways import (
    ALSO,
    CLUSTER_ADMIN,
    GHOST,
    LOOK_ALIKES,
    NAMESPACE,
    STRICT,
    WAYS,
    Rule,
    Way,
    bound,
    crew,
    gathering,
    granted,
    landscape,
    policy_with,
    rule,
    token_secret,
    with_token_aboard,
)

_RBAC, _CSR = "rbac.authorization.k8s.io", "certificates.k8s.io"
_AUTHN = "authentication.k8s.io"


def found_for(user: str, *objects: dict[str, Any], version: str = "v1.37.2") -> list[WayFinding]:
    chain = Chain(policy_with(*objects, version=version))
    return [each for each in escalation_findings(chain) if each.target == f"user/{user}"]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_a_way_is_found(way: Way) -> None:
    found = found_for(way.user, *way.objects)
    assert found
    assert {each.rule for each in found} & ({way.rule} | ALSO.get(way.name, set()))
    assert all(each.cut and each.evidence and each.breaks for each in found)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_nothing_is_left_when_the_binding_is_cut(way: Way) -> None:
    objects = way.objects
    (cut,) = {each.cut for each in found_for(way.user, *objects)}
    left = [each for each in objects if _label(each) != cut]
    assert len(left) == len(objects) - 1
    assert not found_for(way.user, *left)


def _label(manifest: dict[str, Any]) -> str:
    metadata = manifest["metadata"]
    where = f"{metadata['namespace']}/" if "namespace" in metadata else ""
    return f"{manifest['kind'].lower()}/{where}{metadata['name']}"


def test_there_are_enough_look_alikes() -> None:
    assert len(LOOK_ALIKES) >= 40


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_a_look_alike_is_none(name: str) -> None:
    assert not found_for(f"way-{name}", *bound(name, *LOOK_ALIKES[name]), crew())


@pytest.mark.parametrize(
    ("version", "is_way"), [("v1.20.2", True), ("v1.34.0", True), ("v1.35.0", False)]
)
def test_get_exec_by_websocket(version: str, is_way: bool) -> None:
    objects = bound("exec", "", (rule("get", "pods/exec"),))
    assert bool(found_for("way-exec", *objects, version=version)) is is_way


def test_constrained_impersonation_is_new() -> None:
    way = next(each for each in WAYS if each.name == "constrained")
    assert not found_for(way.user, *way.objects, version="v1.34.0")


@pytest.mark.parametrize("node", ["ways-node", "another"])
@pytest.mark.parametrize(
    ("kind", "name", "ways_on"),
    [
        ("User", "system:serviceaccount:kube-system:agent", {"ways-node"}),
        ("Group", "system:serviceaccounts:kube-system", {"ways-node"}),
        # The mighty one is of them, wherever the agent runs.
        ("Group", "system:serviceaccounts", {"ways-node", "another"}),
        ("Group", "system:serviceaccounts:ways-strict", set[str]()),
        ("User", "system:serviceaccount:ways-strict:agent", set[str]()),
        ("User", "agent", set[str]()),
        ("Group", "system:nodes", set[str]()),
    ],
)
def test_the_own_node_is_one_that_pods_of_the_account_run_on(
    kind: str, name: str, ways_on: set[str], node: str
) -> None:
    role, binding = bound("agent", "", constrained("associated-node"))
    binding["subjects"] = [{"kind": kind, "name": name}]
    spec: dict[str, Any] = {"nodeName": node, "serviceAccountName": "agent", "containers": []}
    metadata = {"name": "agent", "namespace": "kube-system"}
    beside = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    chain = Chain(policy_with(role, binding, beside))
    found = {each.target.partition("/")[2] for each in escalation_findings(chain)}
    assert (name in found) is (node in ways_on)


def constrained(mode: str, names: str = "") -> tuple[dict[str, Any], ...]:
    """To make tokens as a node."""
    return (
        rule(f"impersonate:{mode}", "nodes", "authentication.k8s.io", names),
        rule(f"impersonate-on:{mode}:create", "serviceaccounts/token"),
    )


@pytest.mark.parametrize("names", ["", "ways-node"])
@pytest.mark.parametrize(("namespace", "is_way"), [(NAMESPACE, True), ("kube-system", False)])
def test_a_node_impersonated_in_one_namespace(names: str, namespace: str, *, is_way: bool) -> None:
    who, what = constrained("arbitrary-node", names)
    objects = (*bound("who", "", (who,)), *bound("what", namespace, (what,)))
    objects[-1]["subjects"][0]["name"] = "way-who"
    assert bool(found_for("way-who", *objects)) is is_way


# By what they take: where, a rule for others' names, one for the right name, and what else.
SECONDS: dict[str, tuple[str, Rule, Rule, tuple[Rule, ...]]] = {
    "get-then-list": (
        "",
        rule("get", "secrets", names="mine"),
        rule("list", "secrets"),
        (),
    ),
    "entered": (
        NAMESPACE,
        rule("create", "pods/exec", names="another"),
        rule("create", "pods/exec", names="target"),
        (),
    ),
    "changed-pod": (
        NAMESPACE,
        rule("patch", "pods", names="another"),
        rule("update", "pods", names="target"),
        (),
    ),
    "token": (
        NAMESPACE,
        rule("create", "serviceaccounts/token", names="nobody"),
        rule("create", "serviceaccounts/token", names="mighty"),
        (),
    ),
    "user": (
        "",
        rule("impersonate", "users", names="somebody"),
        rule("impersonate", "users", names="boss"),
        (),
    ),
    "account": (
        NAMESPACE,
        rule("impersonate", "serviceaccounts", names="nobody"),
        rule("impersonate", "serviceaccounts", names="mighty"),
        (),
    ),
    "group": (
        "",
        rule("impersonate", "groups", names="nobodies"),
        rule("impersonate", "groups", names="system:masters"),
        (rule("impersonate", "users", names="somebody"),),
    ),
    "bound-role": (
        "",
        rule("bind", "clusterroles", _RBAC, "harmless"),
        rule("bind", "clusterroles", _RBAC, "cluster-admin"),
        (rule("create", "clusterrolebindings", _RBAC),),
    ),
    "rewritten-role": (
        "",
        rule("escalate", "clusterroles", _RBAC, "harmless"),
        rule("escalate", "clusterroles", _RBAC, "way-rewritten-role"),
        (rule("patch", "clusterroles", _RBAC),),
    ),
    "changed-role": (
        "",
        rule("update", "clusterroles", _RBAC, "harmless"),
        rule("patch", "clusterroles", _RBAC, "way-changed-role"),
        (rule("escalate", "clusterroles", _RBAC),),
    ),
    "joined-role": (
        "",
        rule("patch", "clusterroles", _RBAC, "one"),
        rule("patch", "clusterroles", _RBAC, "other"),
        (rule("escalate", "clusterroles", _RBAC, "other"),),
    ),
    "signer": (
        "",
        rule("approve", "signers", _CSR, "example.com/mine"),
        rule("approve", "signers", _CSR, "kubernetes.io/*"),
        (
            rule("create", "certificatesigningrequests", _CSR),
            rule("update", "certificatesigningrequests/approval", _CSR),
        ),
    ),
    "relabelled": (
        STRICT,
        rule("patch", "namespaces", names=NAMESPACE),
        rule("patch", "namespaces", names=STRICT),
        (rule("create", "pods"),),
    ),
    "ghost": (
        STRICT,
        rule("create", "serviceaccounts/token", names="nobody"),
        rule("create", "serviceaccounts/token", names="ghost"),
        (rule("create", "serviceaccounts"),),
    ),
    "applied-ghost": (
        STRICT,
        rule("create", "serviceaccounts", names="ghost"),
        rule("patch", "serviceaccounts", names="ghost"),
        (rule("create", "serviceaccounts/token"),),
    ),
    "constrained-user": (
        "",
        rule("impersonate:user-info", "users", _AUTHN, "somebody"),
        rule("impersonate:user-info", "users", _AUTHN, "boss"),
        (rule("impersonate-on:user-info:list", "secrets"),),
    ),
    "constrained-account": (
        NAMESPACE,
        rule("impersonate:serviceaccount", "serviceaccounts", _AUTHN, "nobody"),
        rule("impersonate:serviceaccount", "serviceaccounts", _AUTHN, "mighty"),
        (rule("impersonate-on:serviceaccount:create", "pods"),),
    ),
    "constrained-node": (
        "",
        rule("impersonate:arbitrary-node", "nodes", _AUTHN, "other-node"),
        rule("impersonate:arbitrary-node", "nodes", _AUTHN, "ways-node"),
        (rule("impersonate-on:arbitrary-node:create", "serviceaccounts/token"),),
    ),
    "constrained-node-token": (
        "",
        rule("impersonate-on:arbitrary-node:create", "serviceaccounts/token", names="nobody"),
        rule("impersonate-on:arbitrary-node:create", "serviceaccounts/token", names="mighty"),
        (rule("impersonate:arbitrary-node", "nodes", _AUTHN),),
    ),
}


def _beside(name: str) -> tuple[Rule, ...]:
    """A ghost, and an aggregated role for whoever can join it."""
    whole, binding = gathering()
    binding["subjects"][0]["name"] = f"way-{name}" if name == "joined-role" else "nobody"
    return (whole, binding, granted("ghost", "cluster-admin", GHOST))


@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize("name", SECONDS)
def test_a_second_rule_for_other_names_counts(name: str, *, is_first: bool) -> None:
    namespace, decoy, real, more = SECONDS[name]
    beside = _beside(name)
    assert not found_for(f"way-{name}", *bound(name, namespace, (decoy, *more)), *beside)
    rules = (real, decoy) if is_first else (decoy, real)
    assert found_for(f"way-{name}", *bound(name, namespace, (*rules, *more)), *beside)


@pytest.mark.parametrize("name", SECONDS)
def test_a_second_binding_for_other_names_is_the_one_to_cut(name: str) -> None:
    namespace, decoy, real, more = SECONDS[name]
    beside = _beside(name)
    second = bound("second", namespace, (real,))
    second[1]["subjects"][0]["name"] = f"way-{name}"
    first = bound(name, namespace, (decoy, *more))
    (found,) = found_for(f"way-{name}", *first, *second, *beside)
    others = [each for each in (*first, *second) if _label(each) != found.cut]
    assert not found_for(f"way-{name}", *others, *beside)


# Which rules are in one namespace, which everywhere, and the path they open together.
ACROSS: dict[str, tuple[tuple[Rule, ...], tuple[Rule, ...], str]] = {
    "plant": ((rule("create", "secrets"),), (rule("get", "secrets"),), "path-07"),
    "plant-read-here": ((rule("get", "secrets"),), (rule("create", "secrets"),), "path-07"),
    "impersonate": (
        (rule("impersonate", "serviceaccounts", names="nobody"),),
        (rule("impersonate", "groups", names="system:masters"),),
        "path-08",
    ),
    "apply": (
        (rule("patch", "deployments", "apps", "one"),),
        (rule("create", "deployments", "apps", "one"),),
        "path-02",
    ),
    "revive": (
        (rule("patch", "serviceaccounts", names="ghost"),),
        (
            rule("create", "serviceaccounts", names="ghost"),
            rule("create", "serviceaccounts/token", names="ghost"),
        ),
        "path-20",
    ),
}


@pytest.mark.parametrize("name", ACROSS)
def test_a_way_may_take_a_right_of_one_namespace_and_one_of_all(name: str) -> None:
    here, wide, path = ACROSS[name]
    namespace = STRICT if name == "revive" else NAMESPACE
    first, second = bound(name, namespace, here), bound("second", "", wide)
    second[1]["subjects"][0]["name"] = f"way-{name}"
    beside = _beside(name)
    found = found_for(f"way-{name}", *first, *second, *beside)
    assert path in {each.rule for each in found}
    lone = (*found_for(f"way-{name}", *first, *beside), *found_for(f"way-{name}", *second, *beside))
    assert path not in {each.rule for each in lone}


def without_boss(*objects: dict[str, Any], account: str = "mighty") -> list[dict[str, Any]]:
    """The landscape, mighty in it one ServiceAccount alone, and further objects."""
    everything = landscape()
    (mighty,) = (each for each in everything if _label(each) == "clusterrolebinding/mighty")
    mighty["subjects"] = [{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}]
    return [*everything, *objects]


def found_among(manifests: list[dict[str, Any]], user: str) -> list[WayFinding]:
    policy = from_manifests(manifests, source="test", version=Version.parse("v1.37.2"))
    return [each for each in escalation_findings(Chain(policy)) if each.target == f"user/{user}"]


def clerk(namespace: str, *rules: Rule) -> list[dict[str, Any]]:
    objects = bound("clerk", namespace, rules)
    objects[1]["subjects"][0]["name"] = "clerk"
    return objects


LIST, GET, MAKE = rule("list", "secrets"), rule("get", "secrets"), rule("create", "pods")
GET_ABOARD, GET_MINE = (rule("get", "secrets", names=each) for each in ("aboard", "mine"))
TOKEN = rule("create", "serviceaccounts/token")
TOKEN_OF_MIGHTY = rule("create", "serviceaccounts/token", names="mighty")
MAKE_BINDING = rule("create", "clusterrolebindings", _RBAC)
BIND_ADMIN = rule("bind", "clusterroles", _RBAC, "cluster-admin")


@pytest.mark.parametrize("who", ["", "clerk"])
@pytest.mark.parametrize(
    ("what", "namespace", "rules", "is_way"),
    [
        (LIST, "", (LIST,), True),
        (LIST, "", (MAKE,), False),
        (LIST, "", (GET,), False),
        (LIST, NAMESPACE, (LIST,), True),
        (LIST, STRICT, (LIST,), False),
        (GET_ABOARD, "", (GET,), True),
        (GET, "", (GET_ABOARD,), True),
        (rule("get", "secrets", names="aboard mine"), "", (GET_MINE, GET_ABOARD), True),
        (GET_ABOARD, "", (GET_MINE,), False),
        (GET_ABOARD, STRICT, (GET,), False),
        (MAKE, NAMESPACE, (MAKE,), True),
        (MAKE, STRICT, (MAKE,), False),
        (TOKEN_OF_MIGHTY, "", (TOKEN,), True),
        (TOKEN, "", (TOKEN_OF_MIGHTY,), True),
        (TOKEN_OF_MIGHTY, STRICT, (TOKEN,), False),
        (MAKE_BINDING, "", (MAKE_BINDING,), False),
        (MAKE_BINDING, "", (MAKE_BINDING, BIND_ADMIN), True),
    ],
)
def test_in_anothers_name_both_must_be_allowed(
    who: str, what: Rule, namespace: str, rules: tuple[Rule, ...], *, is_way: bool
) -> None:
    (verb,) = what["verbs"]
    what = {**what, "verbs": [f"impersonate-on:user-info:{verb}"]}
    way = bound("way", "", (rule("impersonate:user-info", "users", _AUTHN, who), what))
    objects = without_boss(*way, *clerk(namespace, *rules), *token_secret())
    assert bool(found_among(objects, "way-way")) is is_way


@pytest.mark.parametrize("who", ["", "boss"])
@pytest.mark.parametrize(("namespace", "is_way"), [(NAMESPACE, True), (STRICT, False)])
def test_as_a_user_only_in_one_namespace(who: str, namespace: str, *, is_way: bool) -> None:
    objects = (
        *bound("who", "", (rule("impersonate:user-info", "users", _AUTHN, who),)),
        *bound("what", namespace, (rule("impersonate-on:user-info:create", "pods"),)),
    )
    objects[-1]["subjects"][0]["name"] = "way-who"
    assert bool(found_for("way-who", *objects)) is is_way


@pytest.mark.parametrize("names", ["", "mighty"])
@pytest.mark.parametrize(("namespace", "is_way"), [(NAMESPACE, True), (STRICT, False)])
def test_as_an_account_only_in_one_namespace(names: str, namespace: str, *, is_way: bool) -> None:
    who = rule("impersonate:serviceaccount", "serviceaccounts", _AUTHN, names)
    objects = (
        *bound("who", "", (who,)),
        *bound("what", namespace, (rule("impersonate-on:serviceaccount:create", "pods"),)),
    )
    objects[-1]["subjects"][0]["name"] = "way-who"
    assert bool(found_for("way-who", *objects)) is is_way


def test_any_user_is_in_no_group_by_its_name() -> None:
    """8: whoever is impersonated has the groups that are impersonated with it, and no others."""
    way = bound("anybody", "", (rule("impersonate", "users"),))
    chain = Chain(from_manifests([CLUSTER_ADMIN, crew(), *way], source="test"))
    assert "user/way-anybody" not in {each.target for each in escalation_findings(chain)}
    boss = granted("boss", "cluster-admin", {"kind": "User", "name": "boss"})
    chain = Chain(from_manifests([CLUSTER_ADMIN, boss, *way], source="test"))
    assert "user/way-anybody" in {each.target for each in escalation_findings(chain)}


@pytest.mark.parametrize(("name", "is_way"), [(STRICT, True), (NAMESPACE, False)])
def test_a_namespace_by_name_is_relabelled_alone(name: str, *, is_way: bool) -> None:
    """14: only one in which Pod Security is in the way is worth it."""
    rules = (rule("patch", "namespaces", names=f"other {name}"), rule("create", "pods"))
    objects = bound("relabel", "", rules)
    edges = EscalationGraph(Chain(policy_with(*objects))).edges(("User", "way-relabel"))
    (found,) = [each.how for each in edges if each.path == 14] or [""]
    assert (STRICT in found) is is_way


def test_a_kubelet_reads_the_tokens_of_its_pods_too() -> None:
    """10: a certificate of any node."""
    rules = next(each.rules for each in WAYS if each.name == "approve")
    edges = EscalationGraph(Chain(policy_with(*bound("node", "", rules), *with_token_aboard())))
    found = {each.target for each in edges.edges(("AnyNode", "*")) if "Secret" in each.how}
    assert found == {("ServiceAccount", f"system:serviceaccount:{NAMESPACE}:mighty")}


@pytest.mark.parametrize(
    ("names", "is_aboard", "is_way"),
    [("aboard", True, True), ("mine", True, False), ("aboard", False, False)],
)
def test_a_node_reads_a_secret_by_name(names: str, *, is_aboard: bool, is_way: bool) -> None:
    rules = (
        rule("impersonate:arbitrary-node", "nodes", _AUTHN),
        rule("impersonate-on:arbitrary-node:get", "secrets", names=names),
    )
    objects = (*with_token_aboard()[: 2 if is_aboard else 1], *bound("node", "", rules))
    assert bool(found_for("way-node", *objects)) is is_way


def test_a_ready_admin_is_told_as_one() -> None:
    (found,) = found_for("boss")
    assert found.goal == "cluster-admin"
    assert found.evidence == ("may do everything",)
    assert found.cut == "clusterrolebinding/mighty"


def test_node_root_leads_to_the_keys_of_a_control_plane() -> None:
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "cp", "labels": {"node-role.kubernetes.io/control-plane": ""}},
    }
    way = bound("pods", "kube-system", (rule("create", "pods"),))
    (found,) = found_for("way-pods", *way, node)
    assert found.goal == "cluster-admin"
    assert "keys on a control-plane node" in " ".join(found.evidence)


def test_cloud_identities() -> None:
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "cloud"},
        "spec": {"providerID": "aws:///eu/i-1"},
    }
    way = bound("aws", "kube-system", (rule("update", "configmaps", names="aws-auth"),))
    assert {each.rule for each in found_for("way-aws", *way, node)} == {"path-19"}


def newer(**spec: Any) -> str:
    head = {"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy"}
    return msgspec.json.encode({**head, "spec": {"user": "eve", **spec}}).decode()


@pytest.mark.parametrize(
    ("line", "goal"),
    [
        ('{"user":"eve","readonly":false,"resource":"users"}', "cluster-admin"),
        ('{"user":"eve","readonly":false,"resource":"nodes"}', "cluster-admin"),
        ('{"user":"eve","readonly":true,"resource":"secrets"}', "every-secret"),
        ('{"user":"eve","readonly":true,"resource":"pods"}', ""),
        ('{"user":"eve","readonly":false,"resource":"services"}', "others-workload"),
        ('{"user":"eve","readonly":false,"resource":"events"}', ""),
        (newer(namespace="", resource="secrets", apiGroup="", readonly=True), "every-secret"),
        (newer(namespace="", resource="pods", apiGroup=""), ""),
        (newer(namespace="ways", resource="pods", apiGroup=""), "cluster-admin"),
        (newer(namespace="", resource="users", apiGroup=""), "cluster-admin"),
        (newer(namespace="", resource="*", apiGroup=_CSR), "cluster-admin"),
        (newer(namespace="*", resource="*", apiGroup=_RBAC), "cluster-admin"),
        (newer(namespace="*", resource="clusterrolebindings", apiGroup=_RBAC), ""),
        (newer(namespace="*", resource="deployments", apiGroup="apps"), "cluster-admin"),
        (newer(namespace="*", resource="*", apiGroup="*"), "cluster-admin"),
    ],
)
def test_abac_lines_take_every_verb(line: str, goal: str) -> None:
    chain = from_modes(("ABAC", "RBAC"), abac=line)
    policy = msgspec.structs.replace(policy_with(), chain=chain)
    assert parse_abac(line).lines
    found = [each for each in escalation_findings(Chain(policy)) if each.target == "user/eve"]
    assert {each.goal for each in found} == ({goal} if goal else set())
    assert {each.rule for each in found} <= {"path-17"}
    assert all(each.remedy == "take line 1 out of the ABAC policy" for each in found)


def test_without_rbac_no_binding_gives_anything() -> None:
    line = newer(namespace="*", resource="*", apiGroup=_RBAC)
    policy = msgspec.structs.replace(policy_with(), chain=from_modes(("ABAC",), abac=line))
    assert not list(escalation_findings(Chain(policy)))


def test_a_chain_that_allows_everything() -> None:
    chain = from_modes(("RBAC", "AlwaysAllow"))
    found = list(escalation_findings(Chain(msgspec.structs.replace(policy_with(), chain=chain))))
    everybody = next(each for each in found if each.target == "group/system:unauthenticated")
    assert (everybody.rule, everybody.goal) == ("path-20", "cluster-admin")
    assert "AlwaysAllow" in everybody.remedy


def test_grants_to_everybody_and_to_who_is_not_there() -> None:
    role, binding = bound("all", "", (rule("get", "pods"),))
    binding["subjects"] = [
        {"kind": "Group", "name": "system:authenticated"},
        {"kind": "ServiceAccount", "name": "ghost", "namespace": NAMESPACE},
    ]
    ids = [each.rule for each in disorder(policy_with(role, binding))]
    assert ids.count("path-20") == 2


def test_a_label_that_adds_to_an_aggregated_role() -> None:
    whole = rbac("ClusterRole", "whole", "")
    whole["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {"add": "yes"}}]}
    part = rbac("ClusterRole", "part", "")
    part["metadata"]["labels"] = {"add": "yes"}
    part["rules"] = [rule("get", "secrets")]
    assert "path-15" in {each.rule for each in disorder(policy_with(whole, part))}
