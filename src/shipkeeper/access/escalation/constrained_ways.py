"""9: impersonation for certain verbs: who it is, and what for, are granted apart. Pure.

As k8s.io/apiserver pkg/endpoints/filters/impersonation/mode.go asks its authorizer.
"""

from collections.abc import Callable, Iterator

from shipkeeper.access.attributes import NODE_PREFIX, split_service_account
from shipkeeper.access.escalation.edge import (
    ANY_NODE,
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
from shipkeeper.access.escalation.powers import EVERYWHERE, Held, Powers
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
        yield from _as_user(powers)
        for mode in (_ARBITRARY, _ASSOCIATED):
            yield from _as_node(powers, mode, terrain)


def _as_user(powers: Powers) -> Iterator[Edge]:
    who = powers.holds("impersonate:user-info", _AUTHENTICATION, "users", EVERYWHERE)
    for what, use, target in _uses(powers, "user-info") if who else ():
        if who and not who.names:
            yield edge(target, 9, f"impersonates any user to {use}", who, what)
        for name in sorted(who.names) if who else ():
            # ServiceAccounts and nodes are refused in this mode.
            if not (split_service_account(name) or name.startswith(NODE_PREFIX)):
                how = f"impersonates user {name} to {use}"
                yield edge(("User", name), 9, how, who, what)


def _as_account(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    who = powers.holds("impersonate:serviceaccount", _AUTHENTICATION, "serviceaccounts", place)
    for what, use, target in _uses(powers, "serviceaccount") if who else ():
        if who and not who.names:
            yield edge(target, 9, f"impersonates any ServiceAccount to {use}", who, what)
        elif who:
            yield from named_accounts(who, place, terrain, 9, "impersonates", what)


def _uses(powers: Powers, mode: str) -> Iterator[tuple[Held, str, Place]]:
    """Something dangerous that may be done in another's name; in words; where it leads."""
    for verbs, group, resource, leads_to in _USES:
        for place in powers.places:
            found = _use(powers, mode, verbs, group, resource, place)
            if found:
                yield (*found, leads_to(place))


def _use(
    powers: Powers, mode: str, verbs: tuple[str, ...], group: str, resource: str, place: str
) -> tuple[Held, str] | None:
    for verb in verbs:
        held = powers.holds(f"impersonate-on:{mode}:{verb}", group, resource, place)
        # A Secret by name is one alone.
        if held and not (held.names and resource == "secrets"):
            return held, f"{verb} {resource}"
    return None


def _as_node(powers: Powers, mode: str, terrain: Terrain) -> Iterator[Edge]:
    """A kubelet makes the tokens of its pods' ServiceAccounts, and reads its pods' Secrets."""
    who = powers.holds(f"impersonate:{mode}", _AUTHENTICATION, "nodes", EVERYWHERE)
    if who is None:
        return
    nodes = _nodes(powers, mode, who, terrain)
    for place in powers.places if nodes else ():
        made = powers.holds(f"impersonate-on:{mode}:create", "", "serviceaccounts/token", place)
        if made and mode == _ARBITRARY and not (place or made.names or who.names):
            how = "impersonates any node to create serviceaccounts/token"
            yield edge(ANY_NODE, 9, how, who, made)
        elif made:
            for node, account in _aboard(terrain.crews, nodes, place):
                if made.is_for(account.rpartition(":")[2]):
                    how = f"impersonates node {node} to make a token of {account}"
                    yield edge(("ServiceAccount", account), 9, how, who, made)
        read = _use(powers, mode, _READ, "", "secrets", place)
        if read:
            for node, account in _aboard(terrain.tokens_aboard, nodes, place):
                how = f"impersonates node {node} to {read[1]}, one with a token of {account}"
                yield edge(("ServiceAccount", account), 9, how, who, read[0])


def _nodes(powers: Powers, mode: str, who: Held, terrain: Terrain) -> frozenset[str]:
    """The nodes that may be impersonated, as far as pods run on them."""
    if mode == _ARBITRARY:
        return frozenset(each for each in terrain.crews if who.is_for(each))
    # The server does not ask about the node of one's own by its name.
    return powers.nodes if who.is_for("*") else frozenset()


def _aboard(
    accounts: dict[str, set[str]], nodes: frozenset[str], place: str
) -> Iterator[tuple[str, str]]:
    """ServiceAccounts of certain nodes, each once, with one of its nodes."""
    found: dict[str, str] = {}
    for node in sorted(nodes):
        for account in accounts.get(node, ()):
            split = split_service_account(account)
            if split and place in (EVERYWHERE, split[0]):
                found.setdefault(account, node)
    for account, node in sorted(found.items()):
        yield node, account
