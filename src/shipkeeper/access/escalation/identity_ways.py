"""The ways that lead through another identity: its token, its name, or its remains. Pure."""

from collections.abc import Iterator

from shipkeeper.access.escalation.edge import (
    ANY_USER,
    Edge,
    Goal,
    edge,
    goal,
    tokens,
    where,
)
from shipkeeper.access.escalation.powers import Held, Powers
from shipkeeper.access.escalation.terrain import Terrain

_READ = ("get", "list", "watch")


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
