"""suggest: enough, and nothing to spare. convert: the same, proven, or told."""

import gzip
import random
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipkeeper.access.abac import Abac, BadAbacLineError, parse_abac
from shipkeeper.access.assembly import from_manifests
from shipkeeper.access.attributes import Attributes, User, authenticated
from shipkeeper.access.chain import Chain
from shipkeeper.access.convert import convert, prove
from shipkeeper.access.needs import needs_of
from shipkeeper.access.rbac import Rbac
from shipkeeper.access.review import InvalidReviewError, read_review
from shipkeeper.access.suggest import Needs
from shipkeeper.cli.main import main
from tests.access.fuzz import Fuzz
from tests.access.ways import bound, policy_with, rule


def requests_of(user: str, count: int, seed: int) -> list[Attributes]:
    fuzz = Fuzz(seed)
    found: list[Attributes] = []
    while len(found) < count:
        try:
            asked = read_review(fuzz.question(), 37).attributes
        except InvalidReviewError:
            continue
        # What is about nothing can be asked in a review, and is never requested.
        if asked.path or asked.resource:
            found.append(msgspec.structs.replace(asked, user=User(name=user)))
    return found


def rbac_of(manifests: tuple[dict[str, Any], ...]) -> Rbac:
    policy = from_manifests(manifests, source="test")
    return Rbac(policy.roles, policy.bindings)


def denied(rbac: Rbac, asked: list[Attributes]) -> list[Attributes]:
    return [each for each in asked if rbac.authorize(each).decision != "Allow"]


@pytest.mark.parametrize("with_names", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_roles_are_enough_and_no_rule_is_to_spare(seed: int, *, with_names: bool) -> None:
    user = "system:serviceaccount:fuzz-a:robot"
    asked = requests_of(user, 40, seed)
    needs = Needs(with_names=with_names)
    for each in asked:
        needs.add(each)
    manifests = needs.suggest(user).manifests
    assert denied(rbac_of(manifests), asked) == []
    for index, manifest in enumerate(manifests):
        for number in range(len(manifest.get("rules", ()))):
            rules = [*manifest["rules"][:number], *manifest["rules"][number + 1 :]]
            without = (*manifests[:index], {**manifest, "rules": rules}, *manifests[index + 1 :])
            assert denied(rbac_of(without), asked)


def line(**fields: Any) -> bytes:
    base: dict[str, Any] = {"stage": "ResponseComplete", "verb": "get", "user": {"username": "u"}}
    return msgspec.json.encode({**base, **fields})


POD = {"resource": "pods", "namespace": "n", "name": "p", "apiVersion": "v1"}


def test_what_a_line_needed() -> None:
    (asked,) = needs_of(line(objectRef={**POD, "subresource": "log"}))
    assert (asked.combined, asked.namespace, asked.name) == ("pods/log", "n", "p")
    (asked,) = needs_of(line(requestURI="/metrics?x=1"))
    assert (asked.path, asked.resource_request) == ("/metrics", False)
    assert needs_of(line(stage="RequestReceived", objectRef=POD)) == ()
    refused = line(objectRef=POD, annotations={"authorization.k8s.io/decision": "forbid"})
    assert needs_of(refused) == ()
    assert len(needs_of(refused, with_denied=True)) == 1


def test_acting_as_another_needs_impersonation() -> None:
    first, second = needs_of(line(objectRef=POD, impersonatedUser={"username": "other"}))
    assert (first.verb, first.name, first.user.name) == ("impersonate", "other", "u")
    assert (second.verb, second.user.name) == ("get", "other")


def test_what_is_granted_and_not_used_is_told() -> None:
    objects = bound("busy", "ways", (rule("get", "pods"), rule("delete", "secrets")))
    chain = Chain(policy_with(*objects))
    needs = Needs()
    user = authenticated("way-busy")
    needs.add(Attributes(user=user, verb="get", resource="pods", namespace="ways", name="x"))
    needs.add(Attributes(user=user, verb="list", resource="pods", namespace="ways"))
    found = needs.suggest("way-busy", chain)
    assert [each.rpartition(": ")[2] for each in found.unused] == ["delete secrets"]
    assert found.missing == ("list pods in namespace ways",)


def test_from_a_compressed_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "audit.log.gz"
    log.write_bytes(gzip.compress(line(objectRef=POD) + b"\n" + b"broken\n"))
    assert main(["access", "suggest", str(log), "--offline", "-o", "json"]) == 3
    out = capsys.readouterr()
    rules = msgspec.json.decode(out.out)["items"][0]["manifests"][0]["rules"]
    assert rules == [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]
    assert "1 line" in out.err


@pytest.mark.parametrize("seed", range(6))
def test_a_conversion_says_the_same(seed: int) -> None:
    abac = parse_abac(Fuzz(seed).abac(lines=15))
    made = convert(abac)
    assert made.proof.differences == ()
    assert made.proof.requests > 500
    # Nothing that ABAC refuses is allowed, whatever is asked.
    rbac = rbac_of(made.manifests)
    for asked in requests_of("", 400, seed):
        for user in _somebody(abac, seed):
            each = msgspec.structs.replace(asked, user=user)
            if rbac.authorize(each).decision == "Allow":
                assert abac.authorize(each).decision == "Allow", each


def _somebody(abac: Abac, seed: int) -> list[User]:
    lot = random.Random(seed)
    users = [each.user for each in abac.lines if each.user]
    groups = [each.group for each in abac.lines if each.group]
    return [User(name=lot.choice(users), groups=(lot.choice(groups),)) for _ in range(2)]


def test_the_proof_finds_what_is_missing_and_what_is_too_much() -> None:
    text = '{"user":"u","namespace":"n","resource":"pods","readonly":true}'
    abac = parse_abac(text)
    role, binding = convert(abac).manifests
    assert prove(abac.lines, (role, binding)).differences == ()
    assert prove(abac.lines, ()).differences
    wider = {**role, "rules": [{**role["rules"][0], "verbs": ["*"]}]}
    assert prove(abac.lines, (wider, binding)).differences


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"user": "u", "group": "g", "namespace": "*", "resource": "*"}, "no such and"),
        ({"user": "u", "resource": "pods", "apiGroup": ""}, "without a namespace"),
        ({"resource": "pods", "namespace": "*"}, "nobody"),
        ({"user": "u", "namespace": "n"}, "no resource and no URL"),
    ],
)
def test_what_rbac_cannot_say_is_left_out(spec: dict[str, Any], why: str) -> None:
    head = {"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy"}
    made = convert(parse_abac(msgspec.json.encode({**head, "spec": spec}).decode()))
    assert made.manifests == ()
    assert [gap.is_left_out for gap in made.gaps] == [True]
    assert why in made.gaps[0].why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "truncated"),
        ("{user: ann}", "JSON is malformed"),
        ('{"a":' + "[" * 30_000, "too deep"),
        ("no policy", "no object"),
        ("[]", "no object"),
        ("[ann", "neither JSON nor YAML"),
        ("[" * 30_000, "neither JSON nor YAML"),
        ('{"user": 1}', "Expected `str"),
        ('{"kind": "Pod", "apiVersion": "v1"}', "no kind 'Pod'"),
    ],
    ids=lambda each: each[:20],
)
def test_a_bad_line_is_told(text: str, why: str) -> None:
    with pytest.raises(BadAbacLineError, match=f"line 2 of the policy file .*{why}"):
        parse_abac(f"# fine\n{text}\n")
