"""Plans that were agreed to: another one is told by its digest, and how it differs by its lines."""

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
    for name, value in environment(seen.digest).items():
        monkeypatch.setenv(name, value)
    require_agreed(seen)
    with pytest.raises(PlanChangedError):
        require_agreed(other)
    with pytest.raises(BlockedError, match="maintain-1"):
        require_no_older("maintain-1")
