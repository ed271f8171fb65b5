"""What a server starts with, and what it does not; conditions; reviews that it refuses."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from shipkeeper.access.abac import BadAbacLineError
from shipkeeper.access.attributes import Attributes, SelectorTerm, User
from shipkeeper.access.authorizers import (
    ChainError,
    flags_of,
    from_flags,
    from_modes,
    parse_configuration,
)
from shipkeeper.access.chain import Chain, UnknownPolicyFileError
from shipkeeper.access.conditions import check_condition, match
from shipkeeper.access.decision import Decision
from shipkeeper.access.review import InvalidReviewError, read_review
from shipkeeper.access.webhook import Reply
from shipkeeper.sandbox.sandbox import Sandbox
from tests.access.fuzz import Fuzz
from tests.access.servers import ServerDidNotStartError, further_server
from tests.access.ways import policy_with

HEAD = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration"}
RBAC = {"type": "RBAC", "name": "rbac"}
GOOD: dict[str, Any] = {
    "timeout": "10s",
    "subjectAccessReviewVersion": "v1",
    "matchConditionSubjectAccessReviewVersion": "v1",
    "failurePolicy": "Deny",
    "connectionInfo": {"type": "InClusterConfig"},
}


def hook(**changed: Any) -> dict[str, Any]:
    return {"type": "Webhook", "name": "w", "webhook": {**GOOD, **changed}}


def condition(expression: str) -> list[dict[str, str]]:
    return [{"expression": expression}]


BAD: dict[str, list[dict[str, Any]]] = {
    "nothing": [],
    "unknown-type": [{"type": "Magic", "name": "magic"}],
    "twice": [RBAC, RBAC],
    "other-name": [{"type": "RBAC", "name": "mine"}],
    "no-name": [{"type": "Webhook", "name": "", "webhook": GOOD}],
    "no-dns-name": [{"type": "Webhook", "name": "A_B", "webhook": GOOD}],
    "no-webhook": [{"type": "Webhook", "name": "w"}],
    "webhook-of-rbac": [{**RBAC, "webhook": GOOD}],
    "no-timeout": [hook(timeout="")],
    "long-timeout": [hook(timeout="31s")],
    "no-failure-policy": [hook(failurePolicy="Ignore")],
    "no-version": [hook(subjectAccessReviewVersion="v2")],
    "unknown-field": [hook(extra=True)],
    "no-connection": [hook(connectionInfo={})],
    "relative-path": [hook(connectionInfo={"type": "KubeConfigFile", "kubeConfigFile": "x"})],
    "no-cel": [hook(matchConditions=condition("request.user =="))],
    "no-bool": [hook(matchConditions=condition("request.user"))],
    "no-such-field": [hook(matchConditions=condition("request.name == 'x'"))],
    "same-condition": [hook(matchConditions=condition("true") * 2)],
    "many-conditions": [
        hook(matchConditions=[{"expression": f"request.user != '{n}'"} for n in range(65)])
    ],
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_configuration_is_refused(name: str) -> None:
    with pytest.raises(ChainError):
        parse_configuration(yaml.safe_dump({**HEAD, "authorizers": BAD[name]}))


@pytest.mark.parametrize("name", ["other-name", "no-bool", "no-such-field", "unknown-field"])
def test_and_by_the_server_too(newest: Sandbox, tmp_path: Path, name: str) -> None:
    file = tmp_path / "authorization.yaml"
    file.write_text(yaml.safe_dump({**HEAD, "authorizers": BAD[name]}))
    with (
        pytest.raises(ServerDidNotStartError),
        further_server(newest, tmp_path, [f"--authorization-config={file}"]),
    ):
        pass


@pytest.mark.parametrize(
    ("flags", "policy"),
    [
        (["--authorization-mode=Magic"], ""),
        (["--authorization-mode=RBAC,RBAC"], ""),
        (["--authorization-mode=ABAC"], ""),
        (["--authorization-mode=ABAC", "--authorization-policy-file=FILE"], "{broken"),
        (["--authorization-mode=ABAC", "--authorization-policy-file=FILE"], "{user: ann}"),
        (["--authorization-mode=RBAC", "--authorization-policy-file=FILE"], ""),
    ],
    ids=["unknown", "twice", "no-file", "broken-line", "braces-of-yaml", "file-for-nothing"],
)
def test_bad_flags(newest: Sandbox, tmp_path: Path, flags: list[str], policy: str) -> None:
    file = tmp_path / "policy.jsonl"
    file.write_text(f"{policy}\n")
    words = [flag.replace("FILE", str(file)) for flag in flags]
    with pytest.raises(ServerDidNotStartError), further_server(newest, tmp_path / "s", words):
        pass
    with pytest.raises((ChainError, BadAbacLineError)):
        _started(words, {str(file): file.read_text()})


def test_a_line_of_yaml_is_taken(newest: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("user: ann\n")
    words = ["--authorization-mode=ABAC", f"--authorization-policy-file={file}"]
    with further_server(newest, tmp_path / "s", words):
        pass
    assert _started(words, {str(file): file.read_text()}).allows(asked(user=User(name="ann")))


def _started(words: list[str], files: dict[str, str]) -> Chain:
    chain = from_flags(flags_of(words), files)
    return Chain(msgspec.structs.replace(policy_with(), chain=chain))


def test_every_random_configuration_is_taken() -> None:
    for seed in range(50):
        found = parse_configuration(Fuzz(seed).configuration("/w.kubeconfig"))
        assert "RBAC" in found.types


def test_flags_of_a_command() -> None:
    words = ["kube-apiserver", "--authorization-mode=Node,RBAC", "--v", "2", "--profiling"]
    assert flags_of(words) == {"authorization-mode": "Node,RBAC", "v": "2", "profiling": "true"}


def test_no_flag_allows_everything() -> None:
    assert from_flags({}, {}).types == ("AlwaysAllow",)


def test_a_policy_file_that_is_not_at_hand() -> None:
    policy = msgspec.structs.replace(policy_with(), chain=from_modes(("ABAC",)))
    with pytest.raises(UnknownPolicyFileError):
        Chain(policy)


def asked(**fields: Any) -> Attributes:
    base: dict[str, Any] = {
        "user": User(name="u", groups=("g",)),
        "verb": "get",
        "resource": "pods",
    }
    return Attributes(**{**base, **fields})


def test_one_false_condition_outweighs_errors() -> None:
    broken, no = "request.nonResourceAttributes.path == '/'", "request.user == 'x'"
    assert match((broken, no), asked()) == match((no, broken), asked())
    assert not match((broken, no), asked()).error
    assert match((broken, "true"), asked()).error
    assert match(("true",), asked()).matches


@pytest.mark.parametrize(
    "expression",
    [
        "has(request.resourceAttributes) && request.resourceAttributes.verb == 'get'",
        "request.groups.exists(g, g == 'g')",
        "'g' in request.groups",
        "request.?nonResourceAttributes.?path.orValue('none') == 'none'",
        "request.resourceAttributes.fieldSelector.requirements"
        ".exists(r, r.key == 'spec.nodeName' && r.operator == 'In' && 'n' in r.values)",
    ],
)
def test_conditions(expression: str) -> None:
    assert check_condition(expression) == ""
    terms = (SelectorTerm("spec.nodeName", "In", ("n",)),)
    assert match((expression,), asked(fields=terms)).matches


@pytest.mark.parametrize(
    ("reply", "decision", "has_error"),
    [
        (Reply(allowed=True), Decision.ALLOW, False),
        (Reply(denied=True), Decision.DENY, False),
        (Reply(allowed=True, denied=True), Decision.DENY, True),
        (Reply(), Decision.NO_OPINION, False),
        (Reply(error="down"), Decision.DENY, True),
    ],
)
def test_what_a_webhook_says(reply: Reply, decision: Decision, *, has_error: bool) -> None:
    chain = parse_configuration(yaml.safe_dump({**HEAD, "authorizers": [hook()]}))
    policy = msgspec.structs.replace(policy_with(), chain=chain)
    answer = Chain(policy, {"w": lambda _: reply}).answer(asked())
    assert (answer.decision, bool(answer.error)) == (decision, has_error)
    assert Chain(policy).answer(asked()).unasked == ("w",)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"user": "u"},
        {"resourceAttributes": {"verb": "get"}},
        {"user": "u", "resourceAttributes": {}, "nonResourceAttributes": {}},
        {"user": "u", "resourceAttributes": {"fieldSelector": {}}},
        {
            "user": "u",
            "resourceAttributes": {
                "labelSelector": {"rawSelector": "a=b", "requirements": [{"key": "a"}]}
            },
        },
    ],
)
def test_a_review_that_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(InvalidReviewError):
        read_review(spec, 37)


def test_selectors_are_not_seen_by_old_servers() -> None:
    selector = {"rawSelector": "spec.nodeName=n"}
    spec = {"user": "u", "resourceAttributes": {"verb": "list", "fieldSelector": selector}}
    assert read_review(spec, 20).attributes.fields == ()
    assert read_review(spec, 37).attributes.fields == (SelectorTerm("spec.nodeName", "In", ("n",)),)


@pytest.mark.parametrize(
    ("selector", "kept", "has_error"),
    [
        ({"rawSelector": "a=b,c!=d"}, 2, False),
        ({"rawSelector": "a"}, 0, True),
        ({"requirements": [{"key": "a", "operator": "In", "values": ["b"]}]}, 1, False),
        ({"requirements": [{"key": "a", "operator": "In", "values": ["b", "c"]}]}, 0, True),
        ({"requirements": [{"key": "a", "operator": "Exists"}]}, 0, True),
        ({"requirements": [{"key": "a", "operator": "Odd"}]}, 0, True),
    ],
)
def test_what_is_kept_of_a_field_selector(
    selector: dict[str, Any], kept: int, *, has_error: bool
) -> None:
    spec = {"user": "u", "resourceAttributes": {"verb": "list", "fieldSelector": selector}}
    found = read_review(spec, 37)
    assert len(found.attributes.fields) == kept
    assert bool(found.error) is has_error
