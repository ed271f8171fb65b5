"""The ways that lead through another identity: its token, its name, or its remains. Pure."""

from collections.abc import Iterator
from itertools import filterfalse

from shipkeeper.access.attributes import split_service_account
from shipkeeper.access.escalation.edge import (
    ANY_NAME,
    Edge,
    Goal,
    edge,
    goal,
    tokens,
    where,
)
from shipkeeper.access.escalation.powers import Held, Powers, held_for
from shipkeeper.access.escalation.terrain import Terrain

_READ = ("get", "list", "watch")


def mint_tokens(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """6: a token of a ServiceAccount."""
    for held in powers.every("create", "", "serviceaccounts/token", place):
        if held.names:
            yield from named_accounts(held, place, terrain, 6, "makes tokens of")
        else:
            yield edge(tokens(place), 6, f"makes tokens of ServiceAccounts {where(place)}", held)


def plant_tokens(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """7: a Secret of the token type is filled with a token, and read."""
    del terrain
    made = powers.also("create", "", "secrets", place)
    if made is None:
        return
    reads = [held for verb in _READ for held in powers.every_also(verb, "", "secrets", place)]
    pod = powers.also("create", "", "pods", place)
    read = next((held for held in reads if not held.names), pod)
    # What is held everywhere is told there.
    if read and place in (made.place, read.place):
        how = f"plants a Secret for a ServiceAccount's token {where(place)} and reads it"
        yield edge(tokens(place), 7, how, made, read)


def impersonate(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """8: requests in another's name."""
    accounts = powers.every("impersonate", "", "serviceaccounts", place)
    for held in accounts:
        if held.names:
            yield from named_accounts(held, place, terrain, 8, "impersonates")
        else:
            how = f"impersonates ServiceAccounts {where(place)}"
            yield edge(tokens(place), 8, how, held)
    if place:
        return
    users = powers.every("impersonate", "", "users", place)
    for held in users:
        if not held.names:
            yield edge(ANY_NAME, 8, "impersonates any user", held)
        # Of a ServiceAccount's name the server asks as of a ServiceAccount.
        for name in sorted(filterfalse(split_service_account, held.names)):
            yield edge(("User", name), 8, f"impersonates user {name}", held)
    # A group is never impersonated alone; a ServiceAccount may be of one namespace.
    somebody = next(iter((*users, *powers.somewhere("impersonate", "", "serviceaccounts"))), None)
    for held in powers.every("impersonate", "", "groups", place) if somebody else ():
        if not held.names:
            how = "impersonates the group system:masters"
            yield edge(goal(Goal.ADMIN), 8, how, held, somebody)
        for name in sorted(held.names):
            yield edge(("Group", name), 8, f"impersonates group {name}", held, somebody)


def revive_accounts(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """20: a ServiceAccount that is gone and still bound, made anew, and its token taken."""
    made = powers.every_also("create", "", "serviceaccounts", place)
    if not made:
        return
    minted = powers.every_also("create", "", "serviceaccounts/token", place)
    pod = powers.also("create", "", "pods", place)
    for namespace in (place,) if place else terrain.namespaces:
        for account in sorted(terrain.ghosts.get(namespace, ())):
            name = account.rpartition(":")[2]
            makes, used = held_for(name, made), held_for(name, minted) or pod
            if not (makes and used):
                continue
            # What is held everywhere is told there.
            if not place or place in (makes.place, used.place):
                how = f"makes {account} anew, to which bindings still are"
                yield edge(("ServiceAccount", account), 20, how, makes, used)


def named_accounts(
    held: Held, place: str, terrain: Terrain, path: int, how: str, *more: Held
) -> Iterator[Edge]:
    """The ServiceAccounts of certain names, in a namespace or all."""
    for namespace in (place,) if place else terrain.namespaces:
        for account in sorted(terrain.accounts.get(namespace, ())):
            if account.rpartition(":")[2] in held.names:
                target = ("ServiceAccount", account)
                yield edge(target, path, f"{how} {account}", held, *more)
