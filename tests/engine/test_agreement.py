"""Plans that were agreed to: another one is told by its digest, and how it differs by its lines."""

import os
import subprocess
import sys

import pytest

from shipkeeper.engine.agreement import (
    PlanChangedError,
    environment,
    gist,
    require_agreed,
    require_no_older,
    what_changed,
)
from shipkeeper.errors import BlockedError


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ("abc", "abc", ""),
        ("abc", "cba", ""),
        ("ab", "b", "it had a"),
        ("a", "ab", "it has b"),
        ("ab", "ac", "it had b; it has c"),
        ("abcdef", "f", "it had a, b, c and 2 more"),
    ],
)
def test_what_went_and_what_came_is_told(before: str, now: str, told: str) -> None:
    assert what_changed(before, now) == told


def test_no_other_plan_is_begun_than_the_one_agreed_to(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, other = gist([1], ["a"]), gist([2], ["a"])
    assert seen.digest != other.digest
    # Who was told of nothing begins what they planned.
    require_agreed(other)
    require_no_older("maintain-1")
    monkeypatch.setattr("shipkeeper.engine.agreement._agreed", seen.digest)
    require_agreed(seen)
    with pytest.raises(PlanChangedError):
        require_agreed(other)
    with pytest.raises(BlockedError, match="maintain-1"):
        require_no_older("maintain-1")


def test_the_order_of_words_tells_nothing() -> None:
    assert gist({"a": 1, "b": 2}, "xy").digest == gist({"b": 2, "a": 1}, "yx").digest
    assert gist([1, 2], "xy").digest != gist([2, 1], "xy").digest


_COMMAND = """
import os, subprocess, sys
from shipkeeper.engine import agreement

try:
    agreement.require_agreed(agreement.gist([1], []))
except agreement.PlanChangedError:
    print("refused")
sys.stdout.flush()
subprocess.run("env", check=True)
"""


def test_what_a_command_starts_agreed_to_nothing() -> None:
    (told,) = environment("the digest of another plan").items()
    found = subprocess.run(
        (sys.executable, "-c", _COMMAND),
        env={**os.environ, **dict([told])},
        check=True,
        capture_output=True,
        text=True,
    )
    assert found.stdout.startswith("refused")
    assert told[0] not in found.stdout
    assert environment("") == {}
