"""The proof of an order: every state that it can pass through, restarts included, is looked at.

No rule of the policy is about two nodes at once. So the states of a stage are those of the control
plane crossed with those of each node alone, and nodes that are alike are looked at once: the proof
of 5,000 nodes takes as long as that of their few kinds.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import msgspec

from shipkeeper.upgrade.hops import Chain, Stage
from shipkeeper.upgrade.policy import NOT_REACHED
from shipkeeper.upgrade.shape import (
    OF_MEMBERS,
    Breach,
    Change,
    Move,
    Shape,
    Worker,
    after,
    breaches,
    broken_by,
    through,
)


class Refutation(msgspec.Struct, frozen=True):
    """A state, reached in a stage (from 1), in which a rule is broken."""

    stage: int
    breach: Breach


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and what speaks against the order; nothing does if it is proven."""

    states: int
    refutations: tuple[Refutation, ...]

    @property
    def holds(self) -> bool:
        """Whether no state that can be reached breaks a rule."""
        return not self.refutations


def prove(shape: Shape, stages: Sequence[Stage], target: int) -> Proof:
    """Look at every state that the stages can pass through, and at where they end."""
    looked_at, found = 0, dict[Refutation, None]()
    for number, stage in enumerate(stages, 1):
        for alike in _kinds(shape, stage):
            states, broken = explore(alike, _only(stage, alike))
            looked_at += states
            found |= dict.fromkeys(Refutation(number, each) for each in broken)
        shape = through(shape, stage.moves)
    found |= dict.fromkeys(Refutation(len(stages), each) for each in _unfinished(shape, target))
    return Proof(states=looked_at, refutations=tuple(found))


def explore(shape: Shape, chains: Sequence[Chain]) -> tuple[int, tuple[Breach, ...]]:
    """How many states chains side by side can pass through, and what is broken on the way.

    At every moment any of the chains may do its next move, and any machine may boot.
    """
    start = (shape, (0,) * len(chains))
    seen, waiting = {start}, [start]
    found = dict.fromkeys(breaches(shape))
    while waiting:
        state, places = waiting.pop()
        for move, then in _next(state, chains, places):
            if rule := broken_by(state, move):
                found[Breach(rule, f"{move.change} of {move.target}")] = None
            reached = (after(state, move), then)
            if reached not in seen:
                seen.add(reached)
                waiting.append(reached)
                found |= dict.fromkeys(breaches(reached[0]))
    return len(seen), tuple(found)


def _next(
    shape: Shape, chains: Sequence[Chain], places: tuple[int, ...]
) -> Iterator[tuple[Move, tuple[int, ...]]]:
    for number, chain in enumerate(chains):
        if places[number] < len(chain):
            then = (*places[:number], places[number] + 1, *places[number + 1 :])
            yield chain[places[number]], then
    for node in shape.workers:
        if node.installed != node.kubelet:
            yield Move(Change.RESTART, node.name), places


def _kinds(shape: Shape, stage: Stage) -> Iterator[Shape]:
    """The cluster with one node at a time, each kind of node once."""
    own: defaultdict[str, list[tuple[Change, int]]] = defaultdict(list)
    for move in stage.moves:
        own[move.target].append((move.change, move.minor))
    kinds: dict[object, Worker] = {}
    for node in shape.workers:
        moves = tuple(own[node.name])
        kinds.setdefault((node.kubelet, node.proxy, node.installed, node.drained, moves), node)
    for node in kinds.values():
        yield msgspec.structs.replace(shape, workers=(node,))
    if not kinds:
        yield shape


def _only(stage: Stage, shape: Shape) -> tuple[Chain, ...]:
    """The chains without the moves of nodes that are left out."""
    nodes = {each.name for each in shape.workers}
    kept = (
        tuple(move for move in chain if move.change in OF_MEMBERS or move.target in nodes)
        for chain in stage.chains
    )
    return tuple(chain for chain in kept if chain)


def _unfinished(shape: Shape, target: int) -> Iterator[Breach]:
    """What is not at the target in the end."""
    for each in shape.members:
        if (each.api_server, each.controllers) != (target, target):
            yield Breach(NOT_REACHED, f"{each.name} does not come to 1.{target}")
    for node in shape.workers:
        if node.kubelet != target or node.proxy not in (None, target) or node.drained:
            yield Breach(NOT_REACHED, f"{node.name} does not come to 1.{target}")
