"""Progress is written again and again, and yet no more often than is bearable."""

from datetime import timedelta

from shipkeeper.operator.pace import Pace, Rests


def test_it_is_written_once_in_an_interval_and_the_rest_waits_for_its_turn() -> None:
    pace = Pace(timedelta(seconds=1))
    assert pace.begin("a", 100.0) == timedelta(0)
    assert pace.begin("a", 100.25) == timedelta(seconds=0.75)
    # Who was told to wait did not write, and puts nothing off.
    assert pace.begin("a", 100.75) == timedelta(seconds=0.25)
    assert pace.begin("a", 101.0) == timedelta(0)
    assert pace.begin("a", 101.5) == timedelta(seconds=0.5)


def test_one_does_not_wait_for_another() -> None:
    pace = Pace(timedelta(seconds=1))
    assert pace.begin("a", 5.0) == pace.begin("b", 5.0) == timedelta(0)
    pace.forget("a")
    assert pace.begin("a", 5.1) == timedelta(0)
    assert pace.begin("b", 5.1) > timedelta(0)


def test_writes_that_bring_the_next_one_about_are_bounded() -> None:
    pace = Pace(timedelta(seconds=1))
    waits = [pace.begin("a", turn / 100) for turn in range(1000)]
    assert waits.count(timedelta(0)) == 10


def test_what_failed_rests_whatever_is_seen_of_it_meanwhile() -> None:
    rests = Rests(timedelta(minutes=1))
    assert rests.left("a", 100.0) == timedelta(0)
    rests.begin("a", 100.0)
    assert rests.left("a", 130.0) == timedelta(seconds=30)
    assert rests.left("b", 130.0) == rests.left("a", 160.0) == timedelta(0)
    rests.begin("b", 130.0)
    assert rests.left("a", 130.0) == timedelta(seconds=30)
    rests.end()
    assert rests.left("a", 130.0) == rests.left("b", 130.0) == timedelta(0)
