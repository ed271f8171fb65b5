"""9: impersonation for certain verbs: who it is, and what for, are granted apart. Pure.

As k8s.io/apiserver pkg/endpoints/filters/impersonation/mode.go asks its authorizer.
"""

from collections.abc import Callable, Iterable, Iterator

from shipkeeper.access.attributes import MASTERS, NODE_PREFIX, split_service_account
from shipkeeper.access.escalation.edge import (
    Edge,
    Goal,
    Place,
    edge,
    goal,
    pods,
    secrets,
    tokens,
)
from shipkeeper.access.escalation.identity_ways import named_accounts
from shipkeeper.access.escalation.powers import EVERYWHERE, Held, Powers, held_for
from shipkeeper.access.escalation.terrain import Terrain
from shipkeeper.model.rbac import GROUP

_AUTHENTICATION = "authentication.k8s.io"
# From this minor on impersonation may be granted for certain verbs alone.
_CONSTRAINED = 36
_READ = ("get", "list", "watch")
_ARBITRARY, _ASSOCIATED = "arbitrary-node", "associated-node"
# Verbs on what, in another's name; and where that leads to.
_USES: tuple[tuple[tuple[str, ...], str, str, Callable[[str], Place]], ...] = (
    (_READ, "", "secrets", secrets),
    (("create",), "", "pods", pods),
    (("create",), "", "serviceaccounts/token", tokens),
    (("create",), GROUP, "clusterrolebindings", lambda _: goal(Goal.ADMIN)),
)


def constrained_impersonation(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """9: users, ServiceAccounts and nodes, each in a mode of its own."""
    if terrain.minor < _CONSTRAINED:
        return
    # They alone have a namespace in which they may be granted.
    yield from _as_account(powers, place, terrain)
    if not place:
        yield from _as_user(powers, terrain)
        for mode in (_ARBITRARY, _ASSOCIATED):
            yield from _as_node(powers, mode, terrain)


def _as_user(powers: Powers, terrain: Terrain) -> Iterator[Edge]:
    users, groups = (
        powers.every("impersonate:user-info", _AUTHENTICATION, resource, EVERYWHERE)
        for resource in ("users", "groups")
    )
    for what, use, target in _uses(powers, "user-info", terrain) if users else ():
        for who in users:
            if not who.names:
                yield edge(target, 9, f"impersonates any user to {use}", who, what)
            for name in sorted(who.names):
                # ServiceAccounts and nodes are refused in this mode.
                if not (split_service_account(name) or name.startswith(NODE_PREFIX)):
                    how = f"impersonates user {name} to {use}"
                    yield edge(("User", name), 9, how, who, what)
        # A group is never impersonated alone, and system:masters not at all.
        for joined in groups:
            if not joined.names:
                how = f"impersonates any group to {use}"
                yield edge(target, 9, how, joined, users[0], what)
            for name in sorted(joined.names - {MASTERS}):
                how = f"impersonates group {name} to {use}"
                yield edge(("Group", name), 9, how, joined, users[0], what)


def _as_account(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    every = powers.every("impersonate:serviceaccount", _AUTHENTICATION, "serviceaccounts", place)
    for what, use, target in _uses(powers, "serviceaccount", terrain) if every else ():
        for who in every:
            if who.names:
                yield from named_accounts(who, place, terrain, 9, "impersonates", what)
            else:
                yield edge(target, 9, f"impersonates any ServiceAccount to {use}", who, what)


def _uses(powers: Powers, mode: str, terrain: Terrain) -> Iterator[tuple[Held, str, Place]]:
    """Something dangerous that may be done in another's name; in words; where it leads."""
    for verbs, group, resource, leads_to in _USES:
        for place in powers.places:
            for verb, held in _held(powers, mode, verbs, group, resource, place):
                if not (held.names and resource == "secrets"):
                    yield held, f"{verb} {resource}", leads_to(place)
                    break
                # A Secret by name is one alone, which may hold a token.
                for name in sorted(held.names):
                    for account in sorted(terrain.token_accounts_of(name, place)):
                        yield held, f"{verb} Secret {name}", ("ServiceAccount", account)


def _held(
    powers: Powers, mode: str, verbs: tuple[str, ...], group: str, resource: str, place: str
) -> Iterator[tuple[str, Held]]:
    """By which verbs a resource may be used in another's name; those for all names come first."""
    found = [
        (verb, held)
        for verb in verbs
        for held in powers.every(f"impersonate-on:{mode}:{verb}", group, resource, place)
    ]
    yield from sorted(found, key=lambda each: bool(each[1].names))


def _as_node(powers: Powers, mode: str, terrain: Terrain) -> Iterator[Edge]:
    """A kubelet makes the tokens of its pods' ServiceAccounts, and reads its pods' Secrets."""
    nodes = _nodes(powers, mode, terrain)
    for place in powers.places if nodes else ():
        made = powers.every(f"impersonate-on:{mode}:create", "", "serviceaccounts/token", place)
        yield from _minted_by(nodes, made, place, terrain)
        yield from _read_by(nodes, _held(powers, mode, _READ, "", "secrets", place), place, terrain)


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
    nodes: dict[str, Held], every: Iterator[tuple[str, Held]], place: str, terrain: Terrain
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
