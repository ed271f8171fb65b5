"""Ways that end inside a pod or on its host, walked on real hosts of the oldest version.

That has no Pod Security, and so nothing to relabel: for the newest see tests/sandbox/lab.
"""

from collections.abc import AsyncIterator

import pytest

from shipkeeper.sandbox.lab import Lab
from tests.access.lab_robbery import WALKS, rights, walk, walk_in_vain
from tests.access.lab_town import LabTown, lab_town

HERE = [name for name in WALKS if name != "relabel"]


@pytest.fixture(scope="module")
async def lab_of_ways(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LabTown]:
    async with lab_town(lab, tmp_path_factory.mktemp("ways"), rights()) as made:
        yield made


@pytest.mark.parametrize("name", HERE)
async def test_a_look_alike_gets_nowhere(lab_of_ways: LabTown, name: str) -> None:
    await walk_in_vain(lab_of_ways, name)


@pytest.mark.parametrize("name", HERE)
async def test_a_way_is_walked_to_its_end(lab_of_ways: LabTown, name: str) -> None:
    await walk(lab_of_ways, name)
