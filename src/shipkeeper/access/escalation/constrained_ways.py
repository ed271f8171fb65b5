"""9: impersonation for certain verbs: who it is, and what for, are granted apart. Pure.

As k8s.io/apiserver pkg/endpoints/filters/impersonation/mode.go asks its authorizer. What is done in
another's name is asked about once more, as the other: there is a way where both may do it.
"""

from collections.abc import Iterable, Iterator

import msgspec

from shipkeeper.access.attributes import MASTERS, NODE_PREFIX, split_service_account
from shipkeeper.access.escalation.edge import (
    Edge,
    Place,
    edge,
    pods,
    secrets,
    tokens,
)
from shipkeeper.access.escalation.identities import as_user
from shipkeeper.access.escalation.powers import EVERYWHERE, Held, Powers, held_for
from shipkeeper.access.escalation.terrain import Terrain
from shipkeeper.model.rbac import GROUP

_AUTHENTICATION = "authentication.k8s.io"
# From this minor on impersonation may be granted for certain verbs alone.
_CONSTRAINED = 36
_READ = ("get", "list", "watch")
_ARBITRARY, _ASSOCIATED = "arbitrary-node", "associated-node"
# Verbs on what, in another's name.
_USES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (_READ, "", "secrets"),
    (("create",), "", "pods"),
    (("create",), "", "serviceaccounts/token"),
    (("create",), GROUP, "clusterrolebindings"),
)


class _Use(msgspec.Struct, frozen=True):
    """Something dangerous that may be done in another's name, by what, in one place or all."""

    verb: str
    group: str
    resource: str
    place: str
    held: Held

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


def constrained_impersonation(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """9: users, groups, ServiceAccounts and nodes, each in a mode of its own."""
    if terrain.minor < _CONSTRAINED:
        return
    # Many of those that may be impersonated lead to the same place.
    told: set[Place] = set()
    for each in _every_mode(powers, place, terrain):
        if each.target not in told:
            told.add(each.target)
            yield each


def _every_mode(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    # They alone have a namespace in which they may be granted.
    yield from _as_account(powers, place, terrain)
    if not place:
        yield from _as_user(powers, terrain)
        for mode in (_ARBITRARY, _ASSOCIATED):
            yield from _as_node(powers, mode, terrain)


def _as_user(powers: Powers, terrain: Terrain) -> Iterator[Edge]:
    verb = "impersonate:user-info"
    users = powers.every(verb, _AUTHENTICATION, "users", EVERYWHERE)
    uses = tuple(_uses(powers, "user-info")) if users else ()
    if not uses:
        return
    for name, who in _each(users, terrain.identities.names("User")):
        if _is_plain(name):
            yield from _gains(uses, ("User", name), terrain, who)
    # A group is never impersonated alone, and this one never in this mode.
    groups = powers.every(verb, _AUTHENTICATION, "groups", EVERYWHERE)
    somebody = next((who for name, who in _each(users, ("anybody",)) if _is_plain(name)), None)
    for name, who in _each(groups, terrain.identities.names("Group")) if somebody else ():
        if somebody and name != MASTERS:
            yield from _gains(uses, ("Group", name), terrain, somebody, who)


def _is_plain(user: str) -> bool:
    """ServiceAccounts and nodes are refused as users."""
    return not (split_service_account(user) or user.startswith(NODE_PREFIX))


def _as_account(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    who = powers.every("impersonate:serviceaccount", _AUTHENTICATION, "serviceaccounts", place)
    uses = tuple(_uses(powers, "serviceaccount")) if who else ()
    for namespace in ((place,) if place else terrain.namespaces) if uses else ():
        for account in sorted(terrain.accounts.get(namespace, ())):
            held = held_for(account.rpartition(":")[2], who)
            if held:
                yield from _gains(uses, ("ServiceAccount", account), terrain, held)


def _each(every: tuple[Held, ...], known: Iterable[str]) -> Iterator[tuple[str, Held]]:
    """All that may be impersonated, of those known if it is for all, and by what."""
    for held in every:
        for name in sorted(held.names or known):
            yield name, held


def _uses(powers: Powers, mode: str) -> Iterator[_Use]:
    for verbs, group, resource in _USES:
        for place in powers.places:
            for verb in verbs:
                asked = f"impersonate-on:{mode}:{verb}"
                for held in powers.every(asked, group, resource, place):
                    yield _Use(verb, group, resource, place, held)


def _gains(uses: Iterable[_Use], other: Place, terrain: Terrain, *who: Held) -> Iterator[Edge]:
    """What can be come to in the name of another."""
    theirs = Powers(terrain.identities.grants(as_user(*other)))
    kind, name = other
    whom = name if kind == "ServiceAccount" else f"{kind.lower()} {name}"
    for use in uses:
        for target in _targets(use, theirs, other, terrain):
            yield edge(target, 9, f"impersonates {whom} to {use}", *who, use.held)


def _targets(use: _Use, theirs: Powers, other: Place, terrain: Terrain) -> Iterator[Place]:
    """Where a use leads, as far as the other may do it, too."""
    find = theirs.every_also if use.place else theirs.every
    for place in (use.place,) if use.place else theirs.places:
        for held in find(use.verb, use.group, use.resource, place):
            names = _shared(use.held.names, held.names)
            if names is None:
                continue
            match use.resource:
                case "pods":
                    yield pods(place)
                case "clusterrolebindings":
                    # Whoever binds roles may bind those that they have.
                    if terrain.heeds_rbac:
                        yield other
                case "secrets":
                    yield from _secrets(names, place, terrain)
                case _:
                    yield from _tokens(names, place, terrain)


def _shared(one: frozenset[str], other: frozenset[str]) -> frozenset[str] | None:
    """The names that both are for, none being no restriction; None if there is no such name."""
    return one & other or None if one and other else one or other


def _secrets(names: frozenset[str], place: str, terrain: Terrain) -> Iterator[Place]:
    if not names:
        yield secrets(place)
    for name in sorted(names):
        for account in sorted(terrain.token_accounts_of(name, place)):
            yield "ServiceAccount", account


def _tokens(names: frozenset[str], place: str, terrain: Terrain) -> Iterator[Place]:
    if not names:
        yield tokens(place)
    for namespace in ((place,) if place else terrain.namespaces) if names else ():
        for account in sorted(terrain.accounts.get(namespace, ())):
            if account.rpartition(":")[2] in names:
                yield "ServiceAccount", account


def _as_node(powers: Powers, mode: str, terrain: Terrain) -> Iterator[Edge]:
    """A kubelet makes the tokens of its pods' ServiceAccounts, and reads its pods' Secrets."""
    nodes = _nodes(powers, mode, terrain)
    for place in powers.places if nodes else ():
        made = powers.every(f"impersonate-on:{mode}:create", "", "serviceaccounts/token", place)
        yield from _minted_by(nodes, made, place, terrain)
        reads = [
            (verb, held)
            for verb in _READ
            for held in powers.every(f"impersonate-on:{mode}:{verb}", "", "secrets", place)
        ]
        yield from _read_by(nodes, reads, place, terrain)


def _nodes(powers: Powers, mode: str, terrain: Terrain) -> dict[str, Held]:
    """The nodes that may be impersonated, as far as pods run on them, and by what."""
    every = powers.every(f"impersonate:{mode}", _AUTHENTICATION, "nodes", EVERYWHERE)
    if not every:
        return {}
    # The server does not ask about the node of one's own by its name.
    by_name = mode == _ARBITRARY
    found = {
        node: held_for(node if by_name else "*", every)
        for node in sorted(terrain.crews if by_name else powers.nodes)
    }
    return {node: who for node, who in found.items() if who}


def _minted_by(
    nodes: dict[str, Held], every: tuple[Held, ...], place: str, terrain: Terrain
) -> Iterator[Edge]:
    """Tokens of the ServiceAccounts whose pods run on the nodes."""
    for account, node in _first_nodes(terrain.crews, nodes, place):
        made = held_for(account.rpartition(":")[2], every)
        if made:
            how = f"impersonates node {node} to make a token of {account}"
            yield edge(("ServiceAccount", account), 9, how, nodes[node], made)


def _read_by(
    nodes: dict[str, Held], every: Iterable[tuple[str, Held]], place: str, terrain: Terrain
) -> Iterator[Edge]:
    """Tokens in the Secrets of the nodes' pods."""
    for verb, read in every:
        aboard = {
            node: {
                account
                for (namespace, secret), account in terrain.tokens_aboard.get(node, {}).items()
                if place in (EVERYWHERE, namespace) and read.is_for(secret)
            }
            for node in nodes
        }
        for account, node in _first_nodes(aboard, nodes, EVERYWHERE):
            how = f"impersonates node {node} to {verb} secrets, one with a token of {account}"
            yield edge(("ServiceAccount", account), 9, how, nodes[node], read)


def _first_nodes(
    accounts: dict[str, set[str]], nodes: Iterable[str], place: str
) -> list[tuple[str, str]]:
    """ServiceAccounts of certain nodes, each once, with the first of its nodes."""
    found: dict[str, str] = {}
    for node in nodes:
        for account in accounts.get(node, ()):
            split = split_service_account(account)
            if split and place in (EVERYWHERE, split[0]):
                found.setdefault(account, node)
    return sorted(found.items())
