"""Group 3.2: what the audit policy has written down. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

from shipkeeper.access.controls.control import Control
from shipkeeper.access.controls.host import HostSurvey, read_mapping
from shipkeeper.engine.finding import Answer

_FLAG = "audit-policy-file"
_THERE = Control(
    id="3.2.1",
    title="There is an audit policy",
    remedy="write one, and name it with --audit-policy-file",
)
_SOUND = Control(
    id="3.2.2",
    title="The audit log holds what is done, and the contents of no Secret",
    remedy="log Secrets, ConfigMaps and TokenReviews at level Metadata, before all else",
)
_EVERYTHING = "*"
_PRIVATE = frozenset({"secrets", "configmaps", "tokenreviews"})
# A rule with one of these leaves what others do to the next one.
_NARROWING = frozenset({"users", "userGroups", "verbs", "namespaces"})

Server = tuple[HostSurvey, dict[str, str]]
"""A host, and the flags of the API server on it."""


def audit_policy_findings(servers: Iterable[Server], why_not: str) -> Iterator[Answer]:
    """Whether each API server has a policy, and a sound one."""
    every = list(servers)
    without = [host.host for host, flags in every if _FLAG not in flags]
    yield _THERE.judged((f"{name} has none" for name in without), why_not)
    policies = [(host, flags[_FLAG]) for host, flags in every if _FLAG in flags]
    unread = [f"{host.host}:{path}" for host, path in policies if path not in host.texts]
    faults = (
        f"{host.host}: {fault}"
        for host, path in policies
        if path in host.texts
        for fault in _faults(read_mapping(host.texts[path]).get("rules") or [])
    )
    gaps = [f"{', '.join(unread)} is not at hand"] if unread else []
    gaps += [f"{', '.join(without)} has no audit policy"] if without else []
    yield _SOUND.judged(faults, why_not or "; ".join(gaps))


def _faults(rules: list[dict[str, Any]]) -> Iterator[str]:
    """What puts private things into the log; of all rules the first that fits decides."""
    if not any(rule.get("level", "None") != "None" for rule in rules):
        yield "nothing is logged"
    left = set(_PRIVATE)
    for rule in rules:
        named = left & _named(rule)
        if str(rule.get("level", "")).startswith("Request") and named:
            yield f"contents of {', '.join(sorted(named))} are logged"
        if not _NARROWING & set(rule):
            left -= named


def _named(rule: dict[str, Any]) -> set[str]:
    """Which of the private things a rule is about; one that names no resources is about all."""
    if rule.get("nonResourceURLs"):
        return set()
    if not rule.get("resources"):
        return set(_PRIVATE)
    found: set[str] = set()
    for group in rule["resources"]:
        own = {"tokenreviews"} if group.get("group") else _PRIVATE - {"tokenreviews"}
        names = set(group.get("resources") or [_EVERYTHING])
        if group.get("group") in (None, "", "authentication.k8s.io"):
            found |= own if _EVERYTHING in names else own & names
    return found
