"""Subjects and what each may do with which resources, as a table. Pure."""

from collections.abc import Iterable

import msgspec

from shipkeeper.access.attributes import AUTHENTICATED, User, authenticated
from shipkeeper.access.chain import Chain
from shipkeeper.access.policy import Policy
from shipkeeper.access.rbac import identity
from shipkeeper.access.words import Question, ResourceName

VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
RESOURCES = (
    *("secrets", "configmaps", "pods", "pods/exec", "deployments", "serviceaccounts", "nodes"),
    *("roles", "rolebindings", "clusterroles", "clusterrolebindings"),
)


class Row(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One subject, and the verbs that it has on each resource."""

    kind: str
    name: str
    verbs: dict[str, tuple[str, ...]]

    @property
    def weight(self) -> int:
        """How much it may do."""
        return sum(len(each) for each in self.verbs.values())


class Matrix(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Rows of subjects, columns of resources, in one namespace or (empty) cluster-wide."""

    namespace: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    rows: tuple[Row, ...]


def matrix(
    chain: Chain,
    resources: Iterable[ResourceName],
    *,
    namespace: str = "",
    verbs: Iterable[str] = VERBS,
    subjects: Iterable[tuple[str, str]] = (),
) -> Matrix:
    """What each subject (all that are bound, unless some are named) may do; the mighty first."""
    columns, asked_verbs = tuple(resources), tuple(verbs)
    chosen = tuple(subjects) or tuple(bound_subjects(chain.policy))
    rows = [_row(chain, kind, name, columns, asked_verbs, namespace) for kind, name in chosen]
    rows.sort(key=lambda row: (-row.weight, row.kind, row.name))
    return Matrix(
        namespace=namespace,
        resources=tuple(map(str, columns)),
        verbs=asked_verbs,
        rows=tuple(row for row in rows if row.weight or subjects),
    )


def _row(
    chain: Chain,
    kind: str,
    name: str,
    columns: tuple[ResourceName, ...],
    verbs: tuple[str, ...],
    namespace: str,
) -> Row:
    user = as_user(kind, name)
    held = {
        str(column): tuple(
            verb
            for verb in verbs
            if chain.allows(Question(verb=verb, target=column, namespace=namespace).of(user))
        )
        for column in columns
    }
    return Row(kind=kind, name=name, verbs=held)


def as_user(kind: str, name: str) -> User:
    """Somebody of a subject: a user, or anybody of a group, with the implicit groups."""
    if kind == "Group":
        implicit = () if name.startswith("system:unauth") else (AUTHENTICATED,)
        return User(name="somebody", groups=tuple(dict.fromkeys((name, *implicit))))
    return authenticated(name)


def bound_subjects(policy: Policy) -> list[tuple[str, str]]:
    """Kind and full name of every subject of a binding."""
    found: dict[tuple[str, str], None] = {}
    for binding in policy.bindings:
        for subject in binding.subjects or ():
            named = identity(subject, binding.namespace)
            if named is not None:
                found[named] = None
    return sorted(found)
