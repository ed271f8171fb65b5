"""Who gains and who loses what, from one policy to another. Pure.

Not which objects differ: a rule that was covered already gives nothing.
"""

from collections.abc import Iterable, Iterator

import msgspec

from shipkeeper.access.policy import Policy
from shipkeeper.access.rbac import RoleKey, identity
from shipkeeper.access.rule import merged, spell, uncovered
from shipkeeper.model.rbac import Binding, PolicyRule, Role

Subject = tuple[str, str]


class Change(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one subject gains or loses in one namespace, or (empty) everywhere."""

    kind: str
    name: str
    namespace: str
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class Difference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All changes from one policy to another."""

    old: str
    new: str
    authorizers: tuple[str, ...] = ()
    """The chains before and after, if they differ."""
    changes: tuple[Change, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nobody gains or loses anything."""
        return not self.changes and not self.authorizers


# What each subject is granted, by namespace.
_Rights = dict[Subject, dict[str, list[PolicyRule]]]


def compare(old: Policy, new: Policy) -> Difference:
    """Who gains and loses what by RBAC; the chains are compared as well, where both are known."""
    before, after = _rights(old), _rights(new)
    changes = [
        change
        for subject in sorted({*before, *after})
        if before.get(subject) != after.get(subject)
        for change in _changes(subject, before.get(subject, {}), after.get(subject, {}))
    ]
    chains = tuple(",".join(policy.chain.types) for policy in (old, new))
    both_known = old.is_chain_known and new.is_chain_known
    return Difference(
        old=old.source,
        new=new.source,
        authorizers=chains if both_known and chains[0] != chains[1] else (),
        changes=tuple(changes),
    )


def _rights(policy: Policy) -> _Rights:
    roles: dict[RoleKey, Role] = {(role.namespace, role.name): role for role in policy.roles}
    found: _Rights = {}
    for binding in policy.bindings:
        role = roles.get(binding.role_key)
        for subject in _subjects(binding) if role and role.rules else ():
            scoped = found.setdefault(subject, {})
            rules = scoped.setdefault(binding.namespace, [])
            rules += _counting(role.rules or (), binding.namespace) if role else ()
    return found


def _subjects(binding: Binding) -> Iterator[Subject]:
    for subject in binding.subjects or ():
        found = identity(subject, binding.namespace)
        if found is not None:
            yield found


def _counting(rules: Iterable[PolicyRule], namespace: str) -> Iterator[PolicyRule]:
    """Rules as far as they count: URLs count for nothing in a RoleBinding."""
    for rule in rules:
        if not namespace or not rule.non_resource_urls:
            yield rule


def _changes(
    subject: Subject, before: dict[str, list[PolicyRule]], after: dict[str, list[PolicyRule]]
) -> Iterator[Change]:
    for namespace in sorted({*before, *after}):
        gained = _beyond(before, after, namespace)
        lost = _beyond(after, before, namespace)
        if gained or lost:
            yield Change(
                kind=subject[0], name=subject[1], namespace=namespace, gained=gained, lost=lost
            )


def _beyond(
    owned: dict[str, list[PolicyRule]], wanted: dict[str, list[PolicyRule]], namespace: str
) -> tuple[str, ...]:
    """What is wanted in a namespace and not owned there or everywhere."""
    has = [*owned.get("", ()), *(owned.get(namespace, ()) if namespace else ())]
    return tuple(spell(rule) for rule in merged(uncovered(has, wanted.get(namespace, ()))))
