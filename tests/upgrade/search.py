"""The fewest drains that any order needs, found by trying all orders.

For each node alone, beside the whole control plane: what all nodes need together cannot be less
than the sum, because leaving the other nodes out of a lawful order leaves a lawful order.
"""

import random
from collections import deque
from functools import cache

from shipkeeper.upgrade import policy
from shipkeeper.upgrade.shape import Member, Shape, Worker, breaches

Control = tuple[tuple[tuple[int, int], ...], bool]
State = tuple[Control, int, int]


def fewest_drains(shape: Shape, target: int) -> int:
    """A bound on the drains of any lawful order that brings everything to the target."""
    control = (
        tuple(sorted((each.api_server, each.controllers) for each in shape.members)),
        shape.shared,
    )
    return sum(_for_one(control, each.kubelet, each.proxy or 0, target) for each in shape.workers)


@cache
def _for_one(control: Control, kubelet: int, proxy: int, target: int) -> int:
    start = (control, kubelet, proxy)
    cost, waiting = {start: 0}, deque([start])
    while waiting:
        state = waiting.popleft()
        if _is_done(state, target):
            return cost[state]
        for price, then in _moves(state, target):
            if _is_lawful(then) and cost[state] + price < cost.get(then, 1 << 30):
                cost[then] = cost[state] + price
                (waiting.append if price else waiting.appendleft)(then)
    raise AssertionError("no order at all leads there")


def _is_done(state: State, target: int) -> bool:
    (members, _), kubelet, proxy = state
    return (
        kubelet == target
        and proxy in (0, target)
        and all(each == (target, target) for each in members)
    )


def _moves(state: State, target: int) -> list[tuple[int, State]]:
    (members, shared), kubelet, proxy = state
    found: list[tuple[int, State]] = []
    for number, (server, controller) in enumerate(members):
        rest = (*members[:number], *members[number + 1 :])
        found += [
            (0, ((tuple(sorted((*rest, changed))), shared), kubelet, proxy))
            for changed in ((server + 1, controller), (server, controller + 1))
            if max(changed) <= target
        ]
    if shared:
        found.append((0, ((members, False), kubelet, proxy)))
    if 0 < proxy < target:
        found.append((0, ((members, shared), kubelet, proxy + 1)))
    found += [(1, ((members, shared), minor, proxy)) for minor in range(kubelet + 1, target + 1)]
    return found


def _is_lawful(state: State) -> bool:
    (members, shared), kubelet, proxy = state
    servers = [server for server, _ in members]
    oldest, newest = min(servers), max(servers)
    return not (
        policy.judge_api_servers(oldest, newest)
        or policy.judge_kubelet(kubelet, oldest, newest)
        or (proxy and policy.judge_proxy(proxy, kubelet, oldest, newest))
        or any(
            policy.judge_controller(each, *((oldest, newest) if shared else (server, server)))
            for server, each in members
        )
    )


def random_shape(chance: random.Random) -> tuple[Shape, int]:
    """A lawful cluster as one may meet it, also half way through an upgrade, and a target."""
    while True:
        base = chance.randint(20, 36)
        half_way = chance.random() < 0.2
        names = [f"cp{number}" for number in range(1, chance.choice((1, 1, 2, 3, 3, 5)) + 1)]
        members = tuple(
            Member(name, base + (half_way and chance.random() < 0.5), base) for name in names
        )
        with_proxy = chance.random() < 0.9
        count = chance.randint(0, 3)
        workers: list[Worker] = []
        for name in (*names, *(f"w{number}" for number in range(1, count + 1))):
            kubelet = base - chance.choice((0, 0, 0, 1, 2, 3))
            workers.append(
                Worker.of(name, kubelet, base - chance.choice((0, 0, 1)) if with_proxy else None)
            )
        shape = Shape(members, tuple(workers), shared=chance.random() < 0.5)
        if not any(breaches(shape)):
            return shape, min(shape.newest + chance.randint(1, 4), 40)
