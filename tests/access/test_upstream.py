"""Cases of Kubernetes' own tests, of features that came after 1.20 (k8s.io/kubernetes v1.37.2)."""

from pathlib import Path
from typing import Any

import pytest

from shipkeeper.access.assembly import from_manifests
from shipkeeper.access.attributes import Attributes, SelectorTerm, User
from shipkeeper.access.conditions import check_condition, match
from shipkeeper.access.node import Node
from shipkeeper.access.node_graph import NodeGraph
from shipkeeper.access.review import InvalidReviewError, read_review
from shipkeeper.model.version import Version

_TABLE = Path(__file__).parent / "tables" / "node_authorizer.txt"
_ROWS = [line for line in _TABLE.read_text().splitlines() if line and not line.startswith("#")]
_NEWEST = Version(1, 37, 2)


def _pod(node: str) -> dict[str, Any]:
    """Pod 0 of a node, with one of everything that it may refer to."""
    name = f"pod0-{node}"
    volumes: list[dict[str, Any]] = [
        {"name": "own", "secret": {"secretName": f"secret0-{name}"}},
        {"name": "shared", "secret": {"secretName": "secret0-shared"}},
        {"name": "config", "configMap": {"name": f"configmap0-{name}"}},
        {"name": "claim", "persistentVolumeClaim": {"claimName": f"pvc0-{name}"}},
    ]
    claims = [
        {"name": "claim0", "resourceClaimName": f"claim0-{name}-ns0"},
        {"name": "template", "resourceClaimTemplateName": f"claimtemplate0-{name}-ns0"},
        {"name": "made", "resourceClaimTemplateName": f"claimtemplate0-{name}-ns0"},
    ]
    made = {"name": "made", "resourceClaimName": f"generated-claim-{name}-ns0-0"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "ns0"},
        "spec": {
            "nodeName": node,
            "serviceAccountName": f"svcacct0-{node}",
            "volumes": volumes,
            "resourceClaims": claims,
        },
        "status": {"resourceClaimStatuses": [made]},
    }


def _volume(node: str) -> dict[str, Any]:
    name = f"pv0-pod0-{node}-ns0"
    spec = {
        "claimRef": {"namespace": "ns0", "name": f"pvc0-pod0-{node}"},
        "flexVolume": {"secretRef": {"name": f"secret-{name}"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": spec,
    }


def _of_node(api: str, kind: str, name: str, node: str, namespace: str = "") -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": {"nodeName": node}}


@pytest.fixture(scope="module")
def kubelets() -> Node:
    objects: list[dict[str, Any]] = []
    for node in ("node0", "node1"):
        objects += [
            _pod(node),
            _volume(node),
            _of_node("storage.k8s.io/v1", "VolumeAttachment", f"attachment0-{node}", node),
            _of_node("resource.k8s.io/v1", "ResourceSlice", f"slice0-{node}", node),
            _of_node(
                "certificates.k8s.io/v1",
                "PodCertificateRequest",
                f"pcr0-pod0-{node}",
                node,
                "ns0",
            ),
        ]
    policy = from_manifests(objects, source="test", version=_NEWEST)
    # Every sort is known to the reader of manifests.
    assert policy.attachments
    assert policy.resource_slices
    assert policy.certificate_requests
    return Node(NodeGraph(policy), _NEWEST.minor)


@pytest.mark.parametrize("row", _ROWS)
def test_kubelets(kubelets: Node, row: str) -> None:
    sign, verb, what, where, *more = row.split(" ")
    resource, _, subresource = what.partition("/")
    resource, _, group = resource.partition(".")
    namespace, _, name = where.partition("/")
    node = next((each.removeprefix("user=") for each in more if "user=" in each), "node0")
    terms = [each.partition("=") for each in more if "user=" not in each]
    asked = Attributes(
        user=User(name=f"system:node:{node}", groups=("system:nodes",)),
        verb=verb,
        group=group,
        resource=resource,
        subresource=subresource,
        namespace=namespace,
        name=name,
        fields=tuple(SelectorTerm(key, "In", (value.lstrip("="),)) for key, _, value in terms),
    )
    assert (kubelets.authorize(asked).decision == "Allow") is (sign == "+")


ALICE = User(name="alice", uid="1", groups=("group1", "group2"), extra={"key1": ("a", "b", "c")})
KITTENS = "request.resourceAttributes.namespace == 'kittensandponies'"
HAS = f"has(request.resourceAttributes) && {KITTENS}"


@pytest.mark.parametrize(
    ("expressions", "matches", "has_error"),
    [
        ((), True, False),
        (
            (
                "request.user == 'alice'",
                "request.uid == '1'",
                "('group1' in request.groups)",
                "('key1' in request.extra)",
                "!('key2' in request.extra)",
                "('a' in request.extra['key1'])",
                "!('z' in request.extra['key1'])",
                HAS,
            ),
            True,
            False,
        ),
        (("request.user == 'alice'", "('group3' in request.groups)", HAS), False, False),
        (("request.user == 'alice'", "request.uid == '2'", HAS), False, False),
        (("request.user == 'alice'", HAS.replace("kittens", "no")), False, False),
    ],
)
def test_match_conditions(expressions: tuple[str, ...], *, matches: bool, has_error: bool) -> None:
    asked = Attributes(user=ALICE, verb="get", resource="pods", namespace="kittensandponies")
    found = match(expressions, asked)
    assert (found.matches, bool(found.error)) == (matches, has_error)


def test_match_conditions_that_cannot_be_evaluated() -> None:
    asked = Attributes(user=ALICE, verb="get", path="/", resource_request=False)
    assert match(("request.user == 'alice'", KITTENS), asked).error
    # One that is false outweighs it.
    found = match(("request.user != 'alice'", KITTENS), asked)
    assert (found.matches, found.error) == (False, "")
    assert not match(("request.user == 'bob'", HAS), asked).matches


@pytest.mark.parametrize(
    "expression",
    ["  ", "test", "request.user = 'test'", "request.user", "('group3' in request.group)"],
)
def test_match_conditions_that_no_server_takes(expression: str) -> None:
    assert check_condition(expression)


def _selected(kind: str, **selector: Any) -> dict[str, Any]:
    return {"user": "me", "resourceAttributes": {kind: selector}}


def _required(operator: str, *values: str, key: str = "k") -> dict[str, Any]:
    return {"requirements": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize("kind", ["fieldSelector", "labelSelector"])
@pytest.mark.parametrize(
    "selector",
    [
        {"rawSelector": "foo", "requirements": [{"key": ""}]},
        {},
        {"requirements": [{"key": ""}]},
        _required("In"),
        _required("NotIn"),
        _required("Exists", "val"),
        _required("DoesNotExist", "val"),
    ],
)
def test_selectors_that_are_refused(kind: str, selector: dict[str, Any]) -> None:
    with pytest.raises(InvalidReviewError):
        read_review(_selected(kind, **selector), _NEWEST.minor)


def test_a_label_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidReviewError):
        read_review(_selected("labelSelector", **_required("Exists", key="()foo")), 37)
    # A field may have any name.
    assert read_review(_selected("fieldSelector", **_required("Exists", key="()foo")), 37)


@pytest.mark.parametrize(
    ("kind", "selector", "terms"),
    [
        ("fieldSelector", {"rawSelector": "***foo"}, 0),
        ("labelSelector", {"rawSelector": "***foo"}, 0),
        ("fieldSelector", _required("fake", "val"), 0),
        ("labelSelector", _required("fake", "val"), 0),
        ("fieldSelector", {"rawSelector": "foo=bar"}, 1),
        ("fieldSelector", {"rawSelector": "&foo"}, 0),
        ("fieldSelector", _required("In", "apple"), 1),
        ("fieldSelector", _required("NotIn", "banana"), 1),
        ("fieldSelector", _required("In", "apple", "other"), 0),
        ("fieldSelector", _required("Exists"), 0),
        ("fieldSelector", _required("DoesNotExist"), 0),
        ("labelSelector", {"rawSelector": "foo=bar"}, 1),
        ("labelSelector", {"rawSelector": "&foo"}, 0),
        ("labelSelector", _required("In", "apple", "other"), 1),
        ("labelSelector", _required("NotIn", "carrot", "donut"), 1),
        ("labelSelector", _required("Exists"), 1),
        ("labelSelector", _required("DoesNotExist"), 1),
    ],
)
def test_what_is_understood_of_a_selector(kind: str, selector: dict[str, Any], terms: int) -> None:
    found = read_review(_selected(kind, **selector), _NEWEST.minor)
    attributes = found.attributes
    understood = attributes.fields if kind == "fieldSelector" else attributes.labels
    assert len(understood) == terms
    # What is not understood is left out of the question, which is then a broader one, and told.
    assert bool(found.error) is (terms == 0)
