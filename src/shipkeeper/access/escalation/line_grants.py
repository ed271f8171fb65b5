"""ABAC lines as grants: every way to more power is looked for among them, too. Pure.

A line has no verbs but "reads" and "all", and takes any subresource: one for pods runs commands in
them, one for users impersonates them.
"""

from collections.abc import Iterator

from shipkeeper.access.abac import ANY, READS, Abac, AbacLine
from shipkeeper.access.attributes import User
from shipkeeper.access.rbac import Grant
from shipkeeper.access.rule import Compiled
from shipkeeper.access.subresources import subresources
from shipkeeper.access.words import CLUSTER_SCOPED
from shipkeeper.model.meta import ObjectMeta
from shipkeeper.model.rbac import Binding, PolicyRule, RoleRef

# What is only asked about, and has no namespace either.
_ASKED_ABOUT = ("users", "groups", "uids", "userextras", "signers")
# Requests over all namespaces at once.
_OVER_ALL = ("list", "watch")


def line_grants(abac: Abac, user: User) -> Iterator[Grant]:
    """What the lines for somebody grant."""
    for line in abac.lines:
        if line.is_for(user):
            namespace = "" if line.namespace == ANY else line.namespace
            binding = Binding(
                metadata=ObjectMeta(name=f"line-{line.number}", namespace=namespace),
                role_ref=RoleRef(kind="", name=""),
            )
            rules = tuple(Compiled(rule) for rule in _rules(line))
            yield Grant(binding, rules, is_missing=False, line=line.number)


def _rules(line: AbacLine) -> Iterator[PolicyRule]:
    verbs = tuple(sorted(READS)) if line.readonly else (ANY,)
    if line.namespace:
        yield _rule(line, verbs, line.resource)
    elif line.resource == ANY:
        yield _rule(line, verbs, *sorted(CLUSTER_SCOPED), *_ASKED_ABOUT)
        yield _rule(line, _OVER_ALL, ANY)
    elif line.resource in CLUSTER_SCOPED or line.resource in _ASKED_ABOUT:
        yield _rule(line, verbs, line.resource)
    else:
        yield _rule(line, _OVER_ALL, line.resource)


def _rule(line: AbacLine, verbs: tuple[str, ...], *resources: str) -> PolicyRule:
    every = (f"{each}/{sub}" for each in resources for sub in subresources(ANY, each))
    return PolicyRule(verbs=verbs, api_groups=(line.api_group,), resources=(*resources, *every))
