"""Parity: kubectl and ours refuse and evict the same pods of generated clusters.

The differences that the facts list are named in parity/comparison.py; there is no other.
"""

import os
import sys
from collections.abc import AsyncIterator

import pytest

from shipkeeper.nodes.filters import REFUSALS
from shipkeeper.sandbox.assets.versions import NEWEST, OLDEST
from shipkeeper.sandbox.sandbox import Sandbox
from tests.nodes.parity.clusters import generate
from tests.nodes.parity.comparison import GONE, LISTED, STAYS, Pair, describe, sights, unlisted
from tests.nodes.parity.twins import drain_both

CLUSTERS = {NEWEST: 200, OLDEST: 40}


@pytest.fixture(scope="module", params=[NEWEST, OLDEST])
async def pairs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[Pair]]:
    """What both tools made of every cluster, on a control plane that nobody else uses."""
    version: str = request.param
    sandbox = Sandbox.up(
        f"parity-{version.replace('.', '-')}-{os.getpid()}",
        version,
        lambda line: print(line, file=sys.stderr),  # noqa: T201
    )
    try:
        clusters = [generate(number) for number in range(CLUSTERS[version])]
        yield await drain_both(sandbox, clusters, tmp_path_factory.mktemp("parity"))
    finally:
        sandbox.down()


def test_kubectl_and_ours_refuse_and_evict_the_same_pods(pairs: list[Pair]) -> None:
    unalike = [describe(pair) for pair in pairs if unlisted(pair)]
    assert not unalike, "\n".join([f"{len(unalike)} of {len(pairs)} clusters differ", *unalike])


@pytest.mark.parametrize("pairs", [NEWEST], indirect=True)
def test_the_clusters_show_everything_that_was_to_be_compared(pairs: list[Pair]) -> None:
    assert set[str]().union(*map(sights, pairs)) >= {
        *(rule.__name__ for rule in LISTED),
        *REFUSALS.values(),
        'daemonsets.apps "gone" not found',
        *("BudgetNeverMet", "BudgetBroken", "ManyBudgets"),
        *("eviction", "deletion"),
        *(GONE, STAYS, "has 2 s to leave", "has 3600 s to leave"),
        *("drained True", "drained False", "reachable False", "rationed True"),
    }
