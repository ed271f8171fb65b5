"""The ways that lead through roles: bound, rewritten, or joined to one that is held. Pure."""

from collections.abc import Iterator

from shipkeeper.access.escalation.edge import Edge, Goal, Place, edge, goal, where
from shipkeeper.access.escalation.powers import EVERYWHERE, Held, Powers
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
        may = powers.also("bind", GROUP, "clusterroles", place)
        # What is held everywhere is told there.
        if binding and may and place in (binding.grant.namespace, may.grant.namespace):
            yield from _bound(may, binding, place)
        return
    binding = powers.one_of(_WRITE, GROUP, "clusterrolebindings", place)
    may = powers.holds("bind", GROUP, "clusterroles", place)
    if binding and may:
        yield from _bound(may, binding, place)
    rolebinding = powers.one_of(_WRITE, GROUP, "rolebindings", place)
    if rolebinding and may and not binding:
        yield from _bound(may, rolebinding, KUBE_SYSTEM)


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
        may = powers.holds("escalate", GROUP, resource, place)
        change = powers.one_of(_CHANGE, GROUP, resource, place)
        if not (may and change):
            continue
        for grant in powers.grants:
            ref = grant.binding.role_ref
            is_in_reach = kind == "ClusterRole" or place in (EVERYWHERE, grant.namespace)
            if (
                ref.kind == kind
                and is_in_reach
                and may.is_for(ref.name)
                and change.is_for(ref.name)
            ):
                how = f"rewrites {kind} {ref.name}, which it has"
                yield edge(_gained(grant), 8, how, may, change)


def join_aggregates(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """15: a ClusterRole labelled so that it is added to an aggregated one that one has.

    Whoever may not escalate can only add what they have, so that others gain it, and not they.
    """
    if place or not terrain.heeds_rbac:
        return
    may = powers.holds("escalate", GROUP, "clusterroles", place)
    # A role has no name yet when its creation is authorized, so names allow none.
    made = powers.holds("create", GROUP, "clusterroles", place)
    change = powers.one_of(_CHANGE, GROUP, "clusterroles", place)
    if may is None:
        return
    if made is None or made.names or may.names:
        made = change if change and (not may.names or _share(may, change)) else None
    for grant in powers.grants if made else ():
        ref = grant.binding.role_ref
        if ref.kind == "ClusterRole" and ref.name in terrain.aggregated:
            how = f"adds rules to ClusterRole {ref.name}, which it has, by a role with its labels"
            yield edge(_gained(grant), 15, how, may, made)


def _share(one: Held, other: Held) -> bool:
    return not other.names or bool(one.names & other.names)


def _gained(grant: Grant) -> Place:
    return ("Namespace", grant.namespace) if grant.namespace else goal(Goal.ADMIN)
