from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.errors import UsageError
from shipkeeper.model.duration import format_age, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("0s", 0), ("90s", 90), ("5m0s", 300), ("1h30m", 5400), ("1.5m", 90)],
)
def test_durations_are_read_as_go_does(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "1d", "-5s", "five", "999999999999h"])
def test_a_bad_duration_is_named(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_duration(text)
    assert text in caught.value.message


@given(st.integers(min_value=0, max_value=10**7))
def test_what_is_written_can_be_read(seconds: int) -> None:
    duration = timedelta(seconds=seconds)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("seconds", "age"),
    [
        (-3, "0s"),
        (119, "119s"),
        (120, "2m"),
        (150, "2m30s"),
        (3600, "60m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 1200, "3h20m"),
        (9 * 3600, "9h"),
        (47 * 3600, "47h"),
        (3 * 86400, "3d"),
        (3 * 86400 + 7200, "3d2h"),
        (30 * 86400, "30d"),
        (3 * 365 * 86400, "3y"),
    ],
)
def test_ages_are_written_as_in_kubectls_tables(seconds: int, age: str) -> None:
    assert format_age(timedelta(seconds=seconds)) == age
