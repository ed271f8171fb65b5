"""The ways that an ABAC line opens: what is not read-only takes every verb there is. Pure."""

from collections.abc import Iterator

from shipkeeper.access.abac import ANY, Abac, AbacLine
from shipkeeper.access.attributes import User
from shipkeeper.access.escalation.edge import (
    ANY_USER,
    Edge,
    Goal,
    Place,
    goal,
    inside,
    pods,
    secrets,
    tokens,
)

_PATH = 17


def abac_edges(abac: Abac, user: User) -> Iterator[Edge]:
    """17: where the lines for somebody lead to."""
    for line in abac.lines:
        if line.is_for(user):
            for target, how in _targets(line):
                yield Edge(target=target, path=_PATH, how=f"{how} (ABAC line {line.number})")


def _targets(line: AbacLine) -> Iterator[tuple[Place, str]]:
    where = "" if line.namespace == ANY else line.namespace
    is_core = line.api_group in (ANY, "")
    if line.readonly:
        if is_core and line.resource in (ANY, "secrets") and line.namespace:
            yield secrets(where), "reads Secrets"
        return
    if line.resource == line.api_group == line.namespace == ANY:
        yield goal(Goal.ADMIN), "may do everything"
        return
    if is_core:
        yield from _core_targets(line, where)


def _core_targets(line: AbacLine, where: str) -> Iterator[tuple[Place, str]]:
    """What a line with all verbs on a core resource, and on its subresources, leads to."""
    # A line for no namespace counts for what has none.
    clusterwide: tuple[tuple[str, Place, str], ...] = (
        ("users", ANY_USER, "impersonates any user, as the line has no verbs"),
        ("nodes", inside(ANY), "runs commands in all pods through nodes/proxy"),
    )
    namespaced: tuple[tuple[str, Place, str], ...] = (
        ("secrets", secrets(where), "reads Secrets"),
        ("pods", pods(where), "creates pods"),
        ("serviceaccounts", tokens(where), "makes tokens of ServiceAccounts, a subresource"),
    )
    for resource, target, how in clusterwide if line.namespace in ("", ANY) else ():
        if line.resource in (ANY, resource):
            yield target, how
    for resource, target, how in namespaced if line.namespace else ():
        if line.resource in (ANY, resource):
            yield target, how
