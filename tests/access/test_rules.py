"""Rules, grants and kubelets one by one, where a real server of the version is not at hand."""

import itertools
from typing import Any

import pytest

from shipkeeper.access.assembly import from_manifests
from shipkeeper.access.attributes import Attributes, SelectorTerm, User
from shipkeeper.access.node import Node
from shipkeeper.access.node_graph import NodeGraph
from shipkeeper.access.rbac import Rbac, subject_name
from shipkeeper.access.review import InvalidReviewError, read_review
from shipkeeper.access.rule import Compiled, uncovered
from shipkeeper.model.rbac import PolicyRule
from shipkeeper.model.version import Version
from tests.access.fuzz import NODES, Fuzz
from tests.access.graph import graph_objects


@pytest.mark.parametrize(
    ("resources", "resource", "subresource", "allowed"),
    [
        (("pods",), "pods", "", True),
        (("pods",), "pods", "log", False),
        (("pods/log",), "pods", "log", True),
        (("pods/*",), "pods", "log", False),
        (("*/log",), "pods", "log", True),
        (("*/log",), "pods", "", False),
        (("*",), "pods", "log", True),
        (("Pods",), "pods", "", False),
    ],
)
def test_resources(
    resources: tuple[str, ...], resource: str, subresource: str, *, allowed: bool
) -> None:
    rule = Compiled(PolicyRule(verbs=("get",), api_groups=("",), resources=resources))
    asked = Attributes(user=User(), verb="get", resource=resource, subresource=subresource)
    assert rule.allows(asked) is allowed


@pytest.mark.parametrize(
    ("url", "path", "allowed"),
    [
        ("/m", "/m", True),
        ("/m/*", "/m", False),
        ("/m/*", "/m/x", True),
        ("/m*", "/mx", True),
        ("/api**", "/api/v1", True),
        ("*", "", True),
        ("/m", "/m/", False),
    ],
)
def test_urls(url: str, path: str, *, allowed: bool) -> None:
    rule = Compiled(PolicyRule(verbs=("get",), non_resource_urls=(url,)))
    asked = Attributes(user=User(), verb="get", path=path, resource_request=False)
    assert rule.allows(asked) is allowed


@pytest.mark.parametrize("seed", range(5))
def test_the_index_answers_as_a_walk_over_all_bindings_does(seed: int) -> None:
    fuzz = Fuzz(seed)
    policy = from_manifests(fuzz.rbac(roles=20, bindings=60), source="test")
    rbac = Rbac(policy.roles, policy.bindings)
    roles = {(role.namespace, role.name): role for role in policy.roles}
    for _ in range(300):
        try:
            asked = read_review(fuzz.question(), 37).attributes
        except InvalidReviewError:
            continue
        walked = any(
            Compiled(rule).allows(asked)
            for binding in policy.bindings
            if binding.namespace in ("", asked.namespace)
            for subject in binding.subjects or ()
            if subject_name(subject, binding.namespace)
            in {(False, asked.user.name), *((True, group) for group in asked.user.groups)}
            for rule in (roles[binding.role_key].rules if binding.role_key in roles else ()) or ()
        )
        assert (rbac.authorize(asked).decision == "Allow") is walked


def test_one_owned_rule_alone_must_cover() -> None:
    def rule(verbs: str, resources: str) -> PolicyRule:
        return PolicyRule(
            verbs=tuple(verbs.split()), api_groups=("",), resources=tuple(resources.split())
        )

    owned = [rule("get", "pods"), rule("list", "pods secrets")]
    assert uncovered(owned, [rule("get list", "pods")]) == ()
    assert uncovered(owned, [rule("get", "pods secrets")]) == (rule("get", "secrets"),)
    assert uncovered(owned, [rule("*", "pods")]) == (rule("*", "pods"),)
    assert uncovered([rule("*", "*")], [rule("get", "pods/log")]) == ()


NODE = User(name=f"system:node:{NODES[0]}", groups=("system:nodes", "system:authenticated"))
OWN = (SelectorTerm("spec.nodeName", "In", (NODES[0],)),)
CERTIFICATES = "certificates.k8s.io"
# What is asked, and the first and (if it ends) the first minor no more that allows it.
KUBELET: tuple[tuple[dict[str, Any], int, int], ...] = (
    ({"verb": "list", "resource": "pods"}, 20, 32),
    ({"verb": "list", "resource": "pods", "fields": OWN}, 20, 99),
    ({"verb": "get", "resource": "pods", "namespace": "fuzz-a", "name": "one"}, 20, 99),
    ({"verb": "get", "resource": "pods", "namespace": "fuzz-a", "name": "two"}, 20, 32),
    ({"verb": "get", "resource": "nodes", "name": NODES[1]}, 20, 32),
    ({"verb": "get", "resource": "nodes", "name": NODES[0]}, 20, 99),
    ({"verb": "get", "resource": "secrets", "namespace": "fuzz-a", "name": "one"}, 20, 99),
    ({"verb": "list", "resource": "secrets", "namespace": "fuzz-a", "name": "one"}, 20, 99),
    ({"verb": "list", "resource": "secrets", "namespace": "fuzz-a"}, 99, 99),
    ({"verb": "get", "resource": "secrets", "namespace": "fuzz-c", "name": "token"}, 20, 99),
    ({"verb": "get", "resource": "secrets", "namespace": "fuzz-c", "name": "two"}, 99, 99),
    ({"verb": "get", "resource": "persistentvolumes", "name": "volume"}, 20, 99),
    (
        {"verb": "get", "resource": "serviceaccounts", "namespace": "fuzz-a", "name": "default"},
        34,
        99,
    ),
    (
        {
            "verb": "create",
            "resource": "serviceaccounts",
            "subresource": "token",
            "namespace": "fuzz-a",
            "name": "default",
        },
        20,
        99,
    ),
    (
        {
            "verb": "get",
            "group": "resource.k8s.io",
            "resource": "resourceclaims",
            "namespace": "fuzz-a",
            "name": "claim",
        },
        26,
        99,
    ),
    (
        {"verb": "list", "group": "resource.k8s.io", "resource": "resourceslices"},
        31,
        32,
    ),
    (
        {
            "verb": "list",
            "group": "resource.k8s.io",
            "resource": "resourceslices",
            "fields": OWN,
        },
        31,
        99,
    ),
    ({"verb": "create", "group": CERTIFICATES, "resource": "podcertificaterequests"}, 37, 99),
    (
        {
            "verb": "watch",
            "group": CERTIFICATES,
            "resource": "podcertificaterequests",
            "fields": OWN,
        },
        37,
        99,
    ),
    ({"verb": "list", "group": CERTIFICATES, "resource": "clustertrustbundles"}, 37, 99),
    ({"verb": "delete", "resource": "nodes", "name": NODES[0]}, 99, 99),
)


@pytest.mark.parametrize(
    ("case", "minor"), list(itertools.product(range(len(KUBELET)), (20, 26, 31, 32, 34, 37)))
)
def test_kubelets_by_version(case: int, minor: int) -> None:
    fields, since, until = KUBELET[case]
    objects = graph_objects(has_claims=True)
    policy = from_manifests(objects, source="test", version=Version(1, minor, 0))
    node = Node(NodeGraph(policy), minor)
    allowed = node.authorize(Attributes(user=NODE, **fields)).decision == "Allow"
    assert allowed is (since <= minor < until)


@pytest.mark.parametrize(
    "user",
    [
        User(name=NODE.name, groups=("system:authenticated",)),
        User(name=NODES[0], groups=("system:nodes",)),
        User(name="system:node:", groups=("system:nodes",)),
    ],
)
def test_who_is_no_kubelet(user: User) -> None:
    policy = from_manifests(graph_objects(has_claims=True), source="test")
    asked = Attributes(user=user, verb="get", resource="services", namespace="fuzz-a")
    assert Node(NodeGraph(policy), 37).authorize(asked).decision == "NoOpinion"
    kubelet = Attributes(user=NODE, verb="get", resource="services", namespace="fuzz-a")
    assert Node(NodeGraph(policy), 37).authorize(kubelet).decision == "Allow"
