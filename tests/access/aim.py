"""Questions about what a policy says: at a rule or a line, and often just beside it.

Of random questions alone hardly any meets a rule, so that hardly any would tell a wrong one.
"""

import random
from typing import Any

import msgspec

from tests.access.fuzz import (
    API_GROUPS,
    GROUPS,
    NAMES,
    NAMESPACES,
    PATHS,
    RESOURCES,
    SUBRESOURCES,
    USERS,
    VERBS,
)

Spec = dict[str, Any]
# What a question that misses by little has otherwise.
_OTHERWISE: dict[str, tuple[str, ...]] = {
    "verb": VERBS,
    "group": API_GROUPS,
    "resource": RESOURCES,
    "subresource": SUBRESOURCES,
    "name": NAMES,
    "namespace": (*NAMESPACES, ""),
    "path": PATHS,
}


def aimed(lot: random.Random, objects: list[Spec], lines: str) -> Spec:
    """A review's spec about a rule that is bound to somebody, or about a line of ABAC."""
    spec = _at_line(lot, lines) if lot.random() < 0.4 else _at_rule(lot, objects)
    return _beside(lot, spec) if lot.random() < 0.5 else spec


def _at_rule(lot: random.Random, objects: list[Spec]) -> Spec:
    roles = {_key(each): each for each in objects if "rules" in each}
    bindings = [each for each in objects if each.get("subjects")]
    binding = lot.choice(bindings)
    role = roles.get(_role_key(binding))
    # One to a role that is not there is asked about, too: its error must be told alike.
    rule = lot.choice((role or lot.choice([*roles.values()]))["rules"] or [{"verbs": VERBS}])
    who = _meant(lot.choice(binding["subjects"]), binding["metadata"].get("namespace", ""))
    verb = _one(lot, rule["verbs"], VERBS)
    if "nonResourceURLs" in rule:
        url = lot.choice(rule["nonResourceURLs"])
        path = url.rstrip("*") + lot.choice(("x", "")) if url.endswith("*") else url
        return {**who, "nonResourceAttributes": {"path": path, "verb": verb}}
    resource, _, subresource = _one(lot, rule.get("resources", ()), RESOURCES).partition("/")
    about = {
        "verb": verb,
        "group": _one(lot, rule.get("apiGroups", ()), API_GROUPS),
        "resource": lot.choice(RESOURCES) if resource == "*" else resource,
        "subresource": subresource,
        "name": lot.choice(rule.get("resourceNames") or NAMES),
        "namespace": binding["metadata"].get("namespace") or lot.choice((*NAMESPACES, "")),
    }
    return {**who, "resourceAttributes": about}


def _at_line(lot: random.Random, lines: str) -> Spec:
    policies = [each for each in lines.splitlines() if each.startswith("{")]
    policy: Spec = msgspec.json.decode(lot.choice(policies))
    line: Spec = policy.get("spec", policy)
    user, group = line.get("user", ""), line.get("group", "")
    who: Spec = {"user": lot.choice(USERS) if user in ("", "*") else user}
    who["groups"] = [group] if group else [lot.choice(GROUPS)]
    verb = lot.choice(VERBS[:3] if line.get("readonly") else VERBS)
    if line.get("nonResourcePath") and lot.random() < 0.5:
        path = line["nonResourcePath"].replace("*", lot.choice(("x", "")))
        return {**who, "nonResourceAttributes": {"path": path, "verb": verb}}
    about = {
        "verb": verb,
        "group": _one(lot, [line.get("apiGroup", "*")], API_GROUPS),
        "resource": _one(lot, [line.get("resource") or "*"], RESOURCES),
        "namespace": _one(lot, [line.get("namespace", "*")], NAMESPACES),
        "subresource": lot.choice(SUBRESOURCES),
        "name": lot.choice(NAMES),
    }
    return {**who, "resourceAttributes": about}


def _beside(lot: random.Random, spec: Spec) -> Spec:
    """The same question but for one word."""
    if lot.random() < 0.2:
        return {**spec, "user": lot.choice(USERS)}
    for sort in ("resourceAttributes", "nonResourceAttributes"):
        if sort in spec:
            field = lot.choice([each for each in _OTHERWISE if each in spec[sort]])
            return {**spec, sort: {**spec[sort], field: lot.choice(_OTHERWISE[field])}}
    return spec


def _meant(subject: Spec, namespace: str) -> Spec:
    """Somebody whom a subject means."""
    match subject["kind"]:
        case "Group":
            return {"user": "anybody", "groups": [subject["name"]]}
        case "ServiceAccount":
            where = subject.get("namespace") or namespace
            return {"user": f"system:serviceaccount:{where}:{subject['name']}"}
        case _:
            return {"user": subject["name"]}


def _one(lot: random.Random, said: Any, every: tuple[str, ...]) -> str:
    found = lot.choice([*said] or [*every])
    return lot.choice(every) if found == "*" else found


def _key(role: Spec) -> tuple[str, str, str]:
    metadata = role["metadata"]
    return role["kind"], metadata.get("namespace", ""), metadata["name"]


def _role_key(binding: Spec) -> tuple[str, str, str]:
    ref = binding["roleRef"]
    where = binding["metadata"].get("namespace", "") if ref["kind"] == "Role" else ""
    return ref["kind"], where, ref["name"]
