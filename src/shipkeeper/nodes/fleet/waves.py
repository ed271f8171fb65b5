"""Waves: which nodes may be down together, in as few waves as the limits allow; pure.

The smallest number of waves is bounded graph colouring (NP-hard). Few nodes are solved exactly, by
going over all their subsets; many by taking, wave after wave, every node that still fits, those
that are hardest to place first.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil

import msgspec

from shipkeeper.engine.claims import Claims

# Going over all partitions into waves takes 3^n steps.
EXACT_UP_TO = 8

# Whether these nodes, taken together, leave room for everything that has to move from them.
HasRoom = Callable[[Sequence[str]], bool]


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A node to be done, and what it claims of the limits while it is down."""

    node: str
    claims: Mapping[str, int]


def make_waves(
    candidates: Sequence[Candidate], limits: Mapping[str, int], has_room: HasRoom
) -> tuple[tuple[str, ...], ...]:
    """Put every candidate into a wave; their order decides between waves that are equally good.

    A node that claims more than there is, or finds no room even alone, gets a wave of its own.
    """
    if len(candidates) <= EXACT_UP_TO:
        return _fewest(candidates, limits, has_room)
    return _first_fit(candidates, limits, has_room)


def least_waves(candidates: Sequence[Candidate], limits: Mapping[str, int]) -> int:
    """A number of waves that cannot be undercut: what is claimed in all, shared by the limits."""
    return max(
        (
            ceil(sum(min(each.claims.get(thing, 0), limit) for each in candidates) / limit)
            for thing, limit in limits.items()
            if limit > 0
        ),
        default=1 if candidates else 0,
    )


def _first_fit(
    candidates: Sequence[Candidate], limits: Mapping[str, int], has_room: HasRoom
) -> tuple[tuple[str, ...], ...]:
    left = sorted(candidates, key=lambda each: -_hardness(each, limits))
    waves: list[tuple[str, ...]] = []
    while left:
        wave, left = _fill(left, limits, has_room)
        waves.append(_in_order(wave, candidates))
    return tuple(waves)


def _fill(
    left: list[Candidate], limits: Mapping[str, int], has_room: HasRoom
) -> tuple[list[str], list[Candidate]]:
    """One wave of the first that fit, and who is left."""
    wave, passed = _pick(left, limits, lambda _: True)
    if len(wave) > 1 and not has_room(wave):
        return _pick(left, limits, has_room)
    return wave, passed


def _pick(
    left: list[Candidate], limits: Mapping[str, int], has_room: HasRoom
) -> tuple[list[str], list[Candidate]]:
    claims, wave, passed = Claims(limits), list[str](), list[Candidate]()
    for candidate in left:
        if claims.fit(candidate.claims) and (not wave or has_room([*wave, candidate.node])):
            claims.hold(candidate.node, candidate.claims)
            wave.append(candidate.node)
        else:
            passed.append(candidate)
    return wave, passed


def _hardness(candidate: Candidate, limits: Mapping[str, int]) -> float:
    return sum(
        amount / max(limits[thing], 1)
        for thing, amount in candidate.claims.items()
        if thing in limits
    )


def _fewest(
    candidates: Sequence[Candidate], limits: Mapping[str, int], has_room: HasRoom
) -> tuple[tuple[str, ...], ...]:
    """The fewest waves, by dynamic programming over the sets of nodes that are done."""
    count = len(candidates)
    whole = (1 << count) - 1
    may_go = [
        each == 0 or _fits([candidates[i] for i in _members(each)], limits, has_room)
        for each in range(whole + 1)
    ]
    fewest, last_wave = [0] * (whole + 1), [0] * (whole + 1)
    for done in range(1, whole + 1):
        first = done & -done
        # Of equally few waves, those that take more nodes, and earlier ones, at once.
        _, _, wave = min(
            (fewest[done ^ wave], -wave.bit_count(), wave)
            for part in _subsets(done ^ first)
            if may_go[wave := part | first]
        )
        fewest[done], last_wave[done] = fewest[done ^ wave] + 1, wave
    waves: list[tuple[str, ...]] = []
    while whole:
        waves.append(tuple(candidates[i].node for i in _members(last_wave[whole])))
        whole ^= last_wave[whole]
    return tuple(waves)


def _fits(nodes: list[Candidate], limits: Mapping[str, int], has_room: HasRoom) -> bool:
    if len(nodes) == 1:
        return True
    claims = Claims(limits)
    for each in nodes:
        if not claims.fit(each.claims):
            return False
        claims.hold(each.node, each.claims)
    return has_room([each.node for each in nodes])


def _subsets(whole: int) -> Iterator[int]:
    """Every subset of a set of bits, the empty one and itself included."""
    part = whole
    while part:
        yield part
        part = (part - 1) & whole
    yield 0


def _members(mask: int) -> list[int]:
    return [index for index in range(mask.bit_length()) if mask >> index & 1]


def _in_order(wave: list[str], candidates: Sequence[Candidate]) -> tuple[str, ...]:
    chosen = set(wave)
    return tuple(each.node for each in candidates if each.node in chosen)
