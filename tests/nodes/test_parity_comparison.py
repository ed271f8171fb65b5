"""The comparison behind the parity test lets the listed differences pass, and nothing else."""

from typing import Any

import msgspec
import pytest

from shipkeeper.nodes.options import DrainOptions
from tests.nodes.parity.clusters import Application, Budget, Cluster, PodState, generate
from tests.nodes.parity.comparison import GONE, STAYS, Ending, Pair, unlisted


def application(name: str, *states: PodState, budgets: tuple[Budget, ...] = ()) -> Application:
    return Application(
        name=name,
        owner=None,
        states=states,
        budgets=budgets,
        grace_seconds=30,
        tier="front",
        is_mirror=False,
        uses_empty_dir=False,
        never_ends=False,
    )


# Its pods are web-0, old-0, and tight-0 and tight-1, one of which may go.
CLUSTER = Cluster(
    number=0,
    options=DrainOptions(),
    applications=(
        application("web", PodState.READY),
        application("old", PodState.LEAVING),
        application("tight", PodState.READY, PodState.READY, budgets=(Budget(min_available=1),)),
    ),
    has_wide_budget=False,
    has_blind_budget=False,
    is_reachable=True,
)
UNTOUCHED = Ending(
    refused={},
    foreseen={},
    asked={},
    fates=dict.fromkeys(CLUSTER.states, STAYS),
    is_drained=False,
    is_cordoned=True,
)
MOVED: dict[str, Any] = {
    "asked": {"web-0": "eviction"},
    "fates": {**UNTOUCHED.fates, "web-0": GONE},
}
FIRST_GOES: dict[str, Any] = {
    "asked": {"tight-0": "eviction"},
    "fates": {**UNTOUCHED.fates, "tight-0": GONE},
}
SECOND_GOES: dict[str, Any] = {
    "asked": {"tight-1": "eviction"},
    "fates": {**UNTOUCHED.fates, "tight-1": GONE},
}
FORESEEN: dict[str, Any] = {"foreseen": {"tight-0": "BudgetNeverMet"}}

CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "nothing at all": ({}, {}, []),
    "the same": (MOVED, MOVED, []),
    "kubectl refuses": ({"refused": {"web-0": "x"}}, {}, ["refused"]),
    "ours refuses": ({}, {"refused": {"web-0": "x"}}, ["refused"]),
    "another reason": ({"refused": {"web-0": "x"}}, {"refused": {"web-0": "y"}}, ["refused"]),
    "kubectl moves a pod": (MOVED, {}, ["asked", "fate"]),
    "ours moves a pod": ({}, MOVED, ["asked", "fate"]),
    "ours asks twice": (MOVED, MOVED | {"asked": {"web-0": "eviction, eviction"}}, ["asked"]),
    "ours deletes": (MOVED, MOVED | {"asked": {"web-0": "deletion"}}, ["asked"]),
    "kubectl ends well": ({"is_drained": True}, {}, ["drained"]),
    "ours ends well": ({}, {"is_drained": True}, ["drained"]),
    "ours does not cordon": ({}, {"is_cordoned": False}, ["cordoned"]),
    "refused before the cordon": (
        {"refused": {"web-0": "x"}},
        {"refused": {"web-0": "x"}, "is_cordoned": False},
        [],
    ),
    "kubectl does not cordon": (
        {"refused": {"web-0": "x"}, "is_cordoned": False},
        {"refused": {"web-0": "x"}},
        ["cordoned"],
    ),
    "foreseen": (MOVED, FORESEEN | {"is_cordoned": False}, []),
    "foreseen wrongly": (FIRST_GOES, FORESEEN, ["foreseen", "asked", "fate"]),
    "foreseen, yet drained": ({"is_drained": True}, FORESEEN, ["foreseen", "drained"]),
    "foreseen, yet touched": ({}, FORESEEN | MOVED, ["foreseen", "asked", "fate"]),
    "asked for again": ({"asked": {"old-0": "eviction"}}, {}, []),
    "asked for again by ours": ({}, {"asked": {"old-0": "eviction"}}, ["asked"]),
    "asked for again to an effect": (
        {"asked": {"old-0": "eviction"}, "fates": {**UNTOUCHED.fates, "old-0": GONE}},
        {},
        ["asked", "fate"],
    ),
    "one of two by chance": (FIRST_GOES, SECOND_GOES, []),
    "one of two or none": (FIRST_GOES, {}, ["asked", "fate"]),
}


@pytest.mark.parametrize(("theirs", "ours", "aspects"), CASES.values(), ids=list(CASES))
def test_only_listed_differences_pass(
    theirs: dict[str, Any], ours: dict[str, Any], aspects: list[str]
) -> None:
    pair = Pair(
        cluster=CLUSTER,
        theirs=msgspec.structs.replace(UNTOUCHED, **theirs),
        ours=msgspec.structs.replace(UNTOUCHED, **ours),
    )
    assert [difference.aspect for difference in unlisted(pair)] == aspects


def test_a_number_always_gives_the_same_cluster() -> None:
    assert [generate(number) for number in range(50)] == [generate(number) for number in range(50)]
