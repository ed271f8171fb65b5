"""The ways that lead through roles: bound, rewritten, or joined to one that is held. Pure."""

from collections.abc import Iterator

from shipkeeper.access.escalation.edge import Edge, Goal, Place, edge, goal, where
from shipkeeper.access.escalation.powers import EVERYWHERE, Held, Powers, held_for
from shipkeeper.access.escalation.terrain import KUBE_SYSTEM, Terrain
from shipkeeper.access.rbac import Grant
from shipkeeper.model.rbac import GROUP

_CHANGE = ("update", "patch")
_WRITE = ("create", "update", "patch")
_KINDS = (("clusterroles", "ClusterRole"), ("roles", "Role"))


def bind(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """8: a role bound that one does not have."""
    if not terrain.heeds_rbac:
        return
    if place:
        binding = powers.one_also(_WRITE, GROUP, "rolebindings", place)
        for may in powers.every_also("bind", GROUP, "clusterroles", place) if binding else ():
            # What is held everywhere is told there.
            if binding and place in (binding.place, may.place):
                yield from _bound(may, binding, place)
        return
    wide = powers.one_of(_WRITE, GROUP, "clusterrolebindings", place)
    binding = wide or powers.one_of(_WRITE, GROUP, "rolebindings", place)
    for may in powers.every("bind", GROUP, "clusterroles", place) if binding else ():
        if binding:
            yield from _bound(may, binding, place if wide else KUBE_SYSTEM)


def _bound(may: Held, binding: Held, place: str) -> Iterator[Edge]:
    """Bound in one namespace, or everywhere; only certain roles if `bind` is for names."""
    if may.names:
        for name in sorted(may.names):
            target = ("ClusterRole", f"{place}|{name}")
            yield edge(target, 8, f"binds ClusterRole {name} {where(place)}", may, binding)
    elif place:
        yield edge(("Namespace", place), 8, f"binds any role {where(place)}", may, binding)
    else:
        yield edge(goal(Goal.ADMIN), 8, "binds cluster-admin to itself", may, binding)


def escalate(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """8: the role that one has, rewritten; one that nobody is bound to gives nothing."""
    if not terrain.heeds_rbac:
        return
    for resource, kind in _KINDS:
        escalates = powers.every("escalate", GROUP, resource, place)
        changes = powers.every_of(_CHANGE, GROUP, resource, place) if escalates else ()
        for grant in powers.grants if changes else ():
            ref = grant.binding.role_ref
            is_in_reach = kind == "ClusterRole" or place in (EVERYWHERE, grant.namespace)
            may, change = held_for(ref.name, escalates), held_for(ref.name, changes)
            if ref.kind == kind and is_in_reach and may and change:
                how = f"rewrites {kind} {ref.name}, which it has"
                yield edge(_gained(grant), 8, how, may, change)


def join_aggregates(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """15: a ClusterRole labelled so that it is added to an aggregated one that one has.

    Whoever may not escalate can only add what they have, so that others gain it, and not they.
    """
    if place or not terrain.heeds_rbac:
        return
    escalates = powers.every("escalate", GROUP, "clusterroles", place)
    may, made = _adding(powers, escalates) if escalates else (None, None)
    for grant in powers.grants if made else ():
        ref = grant.binding.role_ref
        if ref.kind == "ClusterRole" and ref.name in terrain.aggregated:
            how = f"adds rules to ClusterRole {ref.name}, which it has, by a role with its labels"
            yield edge(_gained(grant), 15, how, may, made)


def _adding(powers: Powers, escalates: tuple[Held, ...]) -> tuple[Held | None, Held | None]:
    """By what a ClusterRole is made, or changed, to which one may add what one does not have."""
    may = next((each for each in escalates if not each.names), None)
    made = powers.holds("create", GROUP, "clusterroles", EVERYWHERE)
    # A role has no name yet when its creation is authorized, so names allow none.
    if may and made and not made.names:
        return may, made
    changes = powers.every_of(_CHANGE, GROUP, "clusterroles", EVERYWHERE)
    pairs = ((may, change) for change in changes for may in escalates if _share(may, change))
    return next(pairs, (None, None))


def _share(one: Held, other: Held) -> bool:
    """Whether there is a name for which both are."""
    return not one.names or not other.names or bool(one.names & other.names)


def _gained(grant: Grant) -> Place:
    return ("Namespace", grant.namespace) if grant.namespace else goal(Goal.ADMIN)
