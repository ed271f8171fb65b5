"""The number of waves against brute force, which shares no code with the planner."""

from collections.abc import Iterator, Sequence
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.nodes.fleet.waves import EXACT_UP_TO, Candidate, least_waves, make_waves


def partitions(nodes: Sequence[str]) -> Iterator[list[list[str]]]:
    """Every way to put nodes into waves."""
    if not nodes:
        yield []
        return
    first, rest = nodes[0], nodes[1:]
    for partition in partitions(rest):
        yield [[first], *partition]
        for index, wave in enumerate(partition):
            yield [*partition[:index], [first, *wave], *partition[index + 1 :]]


class Ground(msgspec.Struct, frozen=True):
    """What else keeps nodes apart: pairs that exclude each other, and the room that is left.

    What is on the nodes of a wave has to fit into what is free on all the others.
    """

    apart: set[frozenset[str]]
    load: dict[str, int]
    free: dict[str, int]
    spare: int

    def bears(self, wave: Sequence[str]) -> bool:
        """Whether these nodes may be away together."""
        if any(pair <= set(wave) for pair in self.apart):
            return False
        elsewhere = sum(free for name, free in self.free.items() if name not in wave)
        return sum(self.load[name] for name in wave) <= elsewhere + self.spare


def fleet(seed: int, most: int = 8) -> tuple[list[Candidate], dict[str, int], Ground]:
    """Nodes with claims on caps and budgets, and the ground that they stand on."""
    draw = Random(f"waves {seed}")
    names = [f"node-{number}" for number in range(draw.randint(1, most))]
    limits = {"nodes": draw.randint(1, 5)}
    limits |= {f"budget/{number}": draw.randint(1, 3) for number in range(draw.randint(0, 4))}
    candidates: list[Candidate] = []
    for name in names:
        claims = {"nodes": 1}
        for budget in list(limits)[1:]:
            if draw.random() < 0.4:
                claims[budget] = draw.randint(1, 4)
        candidates.append(Candidate(node=name, claims=claims))
    apart = {
        frozenset((one, other))
        for one in names
        for other in names
        if one < other and draw.random() < 0.15
    }
    ground = Ground(
        apart=apart,
        load={name: draw.randint(0, 6) for name in names},
        free={name: draw.randint(0, 4) for name in names},
        spare=draw.randint(0, 8),
    )
    return candidates, limits, ground


def may_be_down(
    wave: Sequence[str],
    candidates: Sequence[Candidate],
    limits: dict[str, int],
    ground: Ground,
) -> bool:
    """Said once more, from the words of the issue alone; a node alone may always go."""
    members = [each for each in candidates if each.node in wave]
    for thing, limit in limits.items():
        claimed = [each.claims[thing] for each in members if each.claims.get(thing)]
        if len(claimed) > 1 and sum(claimed) > limit:
            return False
    return len(wave) == 1 or ground.bears(wave)


@pytest.mark.parametrize("hundred", range(10))
def test_the_waves_of_small_fleets_are_as_few_as_can_be(hundred: int) -> None:
    for seed in range(100 * hundred, 100 * hundred + 100):
        candidates, limits, ground = fleet(seed, most=6 if seed % 10 else 8)
        names = [each.node for each in candidates]
        waves = make_waves(candidates, limits, ground.bears)
        assert sorted(name for wave in waves for name in wave) == sorted(names)
        assert all(may_be_down(wave, candidates, limits, ground) for wave in waves)
        fewest = min(
            len(partition)
            for partition in partitions(names)
            if all(may_be_down(wave, candidates, limits, ground) for wave in partition)
        )
        assert len(waves) == fewest, f"fleet {seed}"
        assert least_waves(candidates, limits) <= fewest


@given(seed=st.integers())
def test_many_nodes_are_all_done_once_within_the_limits(seed: int) -> None:
    candidates, limits, ground = fleet(seed, most=40)
    waves = make_waves(candidates, limits, ground.bears)
    assert sorted(name for wave in waves for name in wave) == sorted(
        each.node for each in candidates
    )
    assert all(may_be_down(wave, candidates, limits, ground) for wave in waves)
    assert len(waves) >= least_waves(candidates, limits)


def test_the_same_fleet_gives_the_same_waves() -> None:
    candidates, limits, _ = fleet(7, most=EXACT_UP_TO)
    assert make_waves(candidates, limits, lambda _: True) == make_waves(
        candidates, limits, lambda _: True
    )
