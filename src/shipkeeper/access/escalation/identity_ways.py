"""The ways that lead through another identity: its token, its name, or its remains. Pure."""

from collections.abc import Callable, Iterator

from shipkeeper.access.escalation.edge import (
    ANY_NODE,
    ANY_USER,
    Edge,
    Goal,
    Place,
    edge,
    goal,
    pods,
    secrets,
    tokens,
    where,
)
from shipkeeper.access.escalation.powers import Held, Powers
from shipkeeper.access.escalation.terrain import Terrain
from shipkeeper.model.rbac import GROUP

_READ = ("get", "list", "watch")
_AUTHENTICATION = "authentication.k8s.io"
# From this minor on impersonation may be granted for certain verbs alone.
_CONSTRAINED = 36
_MODES = (
    ("user-info", "users", "any user"),
    ("serviceaccount", "serviceaccounts", "any ServiceAccount"),
    ("arbitrary-node", "nodes", "any node"),
    ("associated-node", "nodes", "the node that it runs on"),
)
# Verbs on what, in another's name; and where that leads to.
_USES: tuple[tuple[tuple[str, ...], str, str, Callable[[str], Place]], ...] = (
    (_READ, "", "secrets", secrets),
    (("create",), "", "pods", pods),
    (("create",), "", "serviceaccounts/token", tokens),
    (("create",), GROUP, "clusterrolebindings", lambda _: goal(Goal.ADMIN)),
)


def mint_tokens(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """6: a token of a ServiceAccount."""
    held = powers.holds("create", "", "serviceaccounts/token", place)
    if held and not held.names:
        yield edge(tokens(place), 6, f"makes tokens of ServiceAccounts {where(place)}", held)
    elif held:
        yield from named_accounts(held, place, terrain, 6, "makes tokens of")


def plant_tokens(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """7: a Secret of the token type is filled with a token, and read."""
    del terrain
    made = powers.also("create", "", "secrets", place)
    if made is None:
        return
    read = powers.one_of(_READ, "", "secrets", place)
    pod = powers.holds("create", "", "pods", place)
    if (read and not read.names) or pod:
        how = f"plants a Secret for a ServiceAccount's token {where(place)} and reads it"
        yield edge(tokens(place), 7, how, made, read or pod)


def impersonate(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """8: requests in another's name."""
    accounts = powers.holds("impersonate", "", "serviceaccounts", place)
    if accounts and not accounts.names:
        how = f"impersonates ServiceAccounts {where(place)}"
        yield edge(tokens(place), 8, how, accounts)
    elif accounts:
        yield from named_accounts(accounts, place, terrain, 8, "impersonates")
    if place:
        return
    users = powers.holds("impersonate", "", "users", place)
    groups = powers.holds("impersonate", "", "groups", place)
    if users and not users.names:
        yield edge(ANY_USER, 8, "impersonates any user", users)
    for name in sorted(users.names) if users else ():
        yield edge(("User", name), 8, f"impersonates user {name}", users)
    # A group is never impersonated alone.
    somebody = users or accounts
    if groups and somebody and not groups.names:
        how = "impersonates the group system:masters"
        yield edge(goal(Goal.ADMIN), 8, how, groups, somebody)
    for name in sorted(groups.names) if groups and somebody else ():
        yield edge(("Group", name), 8, f"impersonates group {name}", groups, somebody)


def constrained_impersonation(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """9: the same for certain verbs: who it is, and what for, are granted apart."""
    if terrain.minor < _CONSTRAINED:
        return
    for mode, resource, whom in _MODES:
        # ServiceAccounts alone have a namespace in which they may be granted.
        if place and mode != "serviceaccount":
            continue
        who = powers.holds(f"impersonate:{mode}", _AUTHENTICATION, resource, place)
        for what, target in _uses(powers, mode) if who else ():
            how = f"impersonates {whom} to {what.verb} {what.resource}"
            if who and not who.names:
                reached = ANY_NODE if resource == "nodes" else target
                yield edge(reached, 9, how, who, what.held)
            elif who and mode == "user-info":
                for name in sorted(who.names):
                    how = f"impersonates user {name} to {what.verb} {what.resource}"
                    yield edge(("User", name), 9, how, who, what.held)
            elif who and mode == "serviceaccount":
                yield from named_accounts(who, place, terrain, 9, "impersonates", what.held)


class _Use:
    """Something dangerous that may be done in another's name."""

    def __init__(self, held: Held, verb: str, resource: str) -> None:
        self.held = held
        self.verb = verb
        self.resource = resource


def _uses(powers: Powers, mode: str) -> Iterator[tuple[_Use, Place]]:
    for verbs, group, resource, leads_to in _USES:
        for place in powers.places:
            for verb in verbs:
                held = powers.holds(f"impersonate-on:{mode}:{verb}", group, resource, place)
                # A Secret by name is one alone.
                if held and not (held.names and resource == "secrets"):
                    yield _Use(held, verb, resource), leads_to(place)
                    break


def revive_accounts(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """20: a ServiceAccount that is gone and still bound, made anew, and its token taken."""
    made = powers.also("create", "", "serviceaccounts", place)
    token = powers.also("create", "", "serviceaccounts/token", place)
    used = token or powers.also("create", "", "pods", place)
    if made is None or made.names or used is None:
        return
    # What is held everywhere is told there.
    if place and place not in (made.grant.namespace, used.grant.namespace):
        return
    for namespace in (place,) if place else terrain.namespaces:
        for account in sorted(terrain.ghosts.get(namespace, ())):
            if used.is_for(account.rpartition(":")[2]) or used is not token:
                how = f"makes {account} anew, to which bindings still are"
                yield edge(("ServiceAccount", account), 20, how, made, used)


def named_accounts(
    held: Held, place: str, terrain: Terrain, path: int, how: str, *more: Held
) -> Iterator[Edge]:
    """The ServiceAccounts of certain names, in a namespace or all."""
    for namespace in (place,) if place else terrain.namespaces:
        for account in sorted(terrain.accounts.get(namespace, ())):
            if account.rpartition(":")[2] in held.names:
                target = ("ServiceAccount", account)
                yield edge(target, path, f"{how} {account}", held, *more)
