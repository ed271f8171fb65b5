"""The check on seeded clusters at both ends: every problem found, no look-alike taken for one."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from shipkeeper.sandbox.sandbox import Sandbox
from tests.cli.user import User
from tests.upgrade import seeds_held_out, seeds_newest, seeds_oldest
from tests.upgrade.seeded import clear_away, plant, run_check, score
from tests.upgrade.seeds import Seed

# They are looked for by name: what uses them is to be seen beforehand (tests/sharing.py).
pytestmark = pytest.mark.usefixtures("oldest", "secluded")


@pytest.mark.parametrize("module", [seeds_oldest, seeds_newest])
async def test_every_seeded_problem_is_found_and_nothing_else(
    module: Any, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    name = "oldest" if module is seeds_oldest else "secluded"
    sandbox: Sandbox = request.getfixturevalue(name)
    seeds: tuple[Seed, ...] = module.SEEDS
    try:
        await plant(sandbox, seeds, tmp_path)
        found = run_check(sandbox, module.TARGET, tmp_path)
        result = score(seeds, found["findings"])
        assert (result.missed, result.wrong) == ((), ())
        for each in found["findings"]:
            assert each["evidence"], each
            assert each["remedy"], each
        assert {"members of etcd", "age of the last backup"} <= {
            each["what"] for each in found["unchecked"]
        }
        _require_exchange(sandbox, module.TARGET, tmp_path, found)
    finally:
        await clear_away(sandbox, seeds)


@pytest.mark.parametrize(
    ("name", "target", "seeds"),
    [
        ("oldest", seeds_held_out.OLDEST_TARGET, seeds_held_out.OLDEST),
        ("secluded", seeds_held_out.NEWEST_TARGET, seeds_held_out.NEWEST),
    ],
    ids=["oldest", "newest"],
)
async def test_so_is_what_was_drawn_later(
    name: str,
    target: int,
    seeds: tuple[Seed, ...],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    sandbox: Sandbox = request.getfixturevalue(name)
    try:
        await plant(sandbox, seeds, tmp_path)
        found = run_check(sandbox, target, tmp_path)["findings"]
        # What other tests asked this API server for is in its metric still.
        result = score(seeds, [each for each in found if not each["target"][0].islower()])
        assert (result.missed, result.wrong) == ((), ())
    finally:
        await clear_away(sandbox, seeds)


def _require_exchange(sandbox: Sandbox, target: int, folder: Path, found: Any) -> None:
    """The other formats say the same."""
    log = json.loads(run_check(sandbox, target, folder, "-o", "sarif"))
    results = log["runs"][0]["results"]
    assert len(results) == len(found["findings"])
    placed = [each for each in results if "physicalLocation" in each["locations"][0]]
    assert len(placed) >= len([each for each in found["findings"] if each.get("place")])
    suite = ElementTree.fromstring(run_check(sandbox, target, folder, "-o", "junit"))
    assert int(suite.attrib["failures"]) == len(found["findings"])
    assert suite.attrib["skipped"] == str(len(found["unchecked"]))


@pytest.mark.parametrize(
    "command",
    [
        ("versions",),
        ("check", "--to=v1.38"),
        ("plan", "--to=v1.38", "--wait"),
        ("run", "--to=v1.38", "--wait", "--dry-run=client"),
        ("run", "--to=v1.38", "--dry-run=client", "-o", "json"),
        ("run", "--to=v1.38", "--dry-run=client", "--repo={repository}"),
    ],
    ids=lambda command: "-".join(command[:2]),
)
async def test_what_only_looks_writes_nothing(
    newest: Sandbox, tmp_path: Path, command: tuple[str, ...]
) -> None:
    user, repository = User(newest, tmp_path), tmp_path / "repository"
    done = await user.run("upgrade", *(each.format(repository=repository) for each in command))
    assert done.returncode in (0, 4), done.stderr
    assert done.stdout
    assert user.writes() == []
    assert user.writes(dry=True) == []
    assert not user.state.exists()
    assert not repository.exists()
