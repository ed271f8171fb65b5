"""Which steps begin when: claims are never exceeded, and everything comes to an end."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.engine.claims import Claims
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.schedule import Ending, Schedule


def head(name: str, after: tuple[str, ...] = (), **claims: int) -> Step:
    return Step(id=f"{name}/begin", action="do", target=name, effect="", after=after, claims=claims)


def tail(name: str) -> Step:
    begin = f"{name}/begin"
    return Step(
        id=f"{name}/end", action="do", target=name, effect="", after=(begin,), releases=(begin,)
    )


def plan(*steps: Step, limits: dict[str, int], max_failed: int | None = None) -> Plan:
    return Plan(procedure="p", request={}, steps=steps, limits=limits, max_failed=max_failed)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    limits = {"a": draw(st.integers(1, 3)), "b": draw(st.integers(1, 3))}
    steps: list[Step] = []
    for number in range(draw(st.integers(1, 8))):
        claims = {"a": draw(st.integers(1, 4)), "b": draw(st.integers(0, 2))}
        steps += [head(f"n{number}", (), **claims), tail(f"n{number}")]
    return plan(*steps, limits=limits, max_failed=draw(st.none() | st.integers(0, 2)))


@given(plan=plans(), data=st.data())
def test_claims_are_kept_and_all_steps_end(plan: Plan, data: st.DataObject) -> None:
    schedule = Schedule(plan)
    running: list[Step] = []
    while not schedule.is_over:
        running += schedule.begin()
        if not running:
            schedule.skip_unbegun()
            continue
        held = Counter[str]()
        holders = [
            step
            for step in plan.steps
            if step.claims
            and (step in running or schedule.endings.get(step.id) in (Ending.DONE, Ending.FAILED))
            and schedule.endings.get(f"{step.target}/end") is not Ending.DONE
        ]
        for step in holders:
            held.update(step.claims)
        for thing, limit in plan.limits.items():
            largest = max((step.claims.get(thing, 0) for step in holders), default=0)
            assert held[thing] <= max(limit, largest)
        ended = running.pop(data.draw(st.integers(0, len(running) - 1)))
        schedule.end(ended, data.draw(st.sampled_from([Ending.DONE, Ending.DONE, Ending.FAILED])))
    assert set(schedule.endings) == {step.id for step in plan.steps}


@st.composite
def grouped_plans(draw: st.DrawFn) -> Plan:
    """Some things wait for the end of all things of an earlier group."""
    steps: list[Step] = []
    before: tuple[str, ...] = ()
    for group in range(draw(st.integers(1, 3))):
        names = [f"n{group}{number}" for number in range(draw(st.integers(1, 3)))]
        for name in names:
            steps += [head(name, before, a=draw(st.integers(1, 2))), tail(name)]
        before = tuple(f"{name}/end" for name in names)
    return plan(*steps, limits={"a": draw(st.integers(1, 2))}, max_failed=0)


@given(plan=grouped_plans(), data=st.data())
def test_gone_on_with_after_a_kill_at_any_moment_everything_is_done(
    plan: Plan, data: st.DataObject
) -> None:
    begun, done = set[str](), set[str]()
    for _ in range(data.draw(st.integers(1, 3))):
        schedule = Schedule(plan)
        schedule.take_up(begun, done)
        running: list[Step] = []
        for _ in range(data.draw(st.integers(0, 2 * len(plan.steps)))):
            running += schedule.begin()
            if schedule.is_over:
                break
            assert running, "nobody can go on"
            begun |= {step.id for step in running}
            ended = running.pop(data.draw(st.integers(0, len(running) - 1)))
            schedule.end(ended, Ending.DONE)
            done.add(ended.id)
        assert Ending.SKIPPED not in schedule.endings.values()


def test_a_step_that_fits_overtakes_one_that_does_not() -> None:
    steps = (head("a", x=1), tail("a"), head("b", x=1), tail("b"), head("c", y=1), tail("c"))
    schedule = Schedule(plan(*steps, limits={"x": 1, "y": 1}))
    assert [step.target for step in schedule.begin()] == ["a", "c"]


def test_what_failed_keeps_its_claims() -> None:
    steps = (head("a", x=1), tail("a"), head("b", x=1), tail("b"))
    schedule = Schedule(plan(*steps, limits={"x": 1}))
    (first,) = schedule.begin()
    schedule.end(first, Ending.DONE)
    (end,) = schedule.begin()
    schedule.end(end, Ending.FAILED)
    assert schedule.begin() == []
    schedule.skip_unbegun()
    assert schedule.is_over


def test_what_was_undone_gives_its_claims_back() -> None:
    steps = (head("a", x=1), tail("a"), head("b", x=1), tail("b"))
    schedule = Schedule(plan(*steps, limits={"x": 1}))
    (first,) = schedule.begin()
    schedule.end(first, Ending.FAILED)
    schedule.give_back([first.id])
    assert [step.target for step in schedule.begin()] == ["b"]


def test_too_many_failures_begin_nothing_new() -> None:
    steps = (head("a", x=1), head("b", x=1), head("c", x=1))
    schedule = Schedule(plan(*steps, limits={"x": 1}, max_failed=0))
    (first,) = schedule.begin()
    schedule.end(first, Ending.BLOCKED)
    assert schedule.is_over
    assert schedule.endings["c/begin"] is Ending.SKIPPED


def test_a_pause_holds_back_only_what_claims() -> None:
    steps = (head("a", x=1), tail("a"), head("b", y=1), tail("b"))
    schedule = Schedule(plan(*steps, limits={"x": 1, "y": 1}))
    first, _ = schedule.begin()
    schedule.end(first, Ending.DONE)
    assert [step.id for step in schedule.begin(is_paused=True)] == ["a/end"]


def test_what_an_earlier_attempt_began_is_claimed_first() -> None:
    steps = (head("a", x=1), tail("a"), head("b", x=1), tail("b"))
    schedule = Schedule(plan(*steps, limits={"x": 1}))
    schedule.take_up({"b/begin"}, {"b/begin"})
    assert [step.target for step in schedule.begin()] == ["b"]


@pytest.mark.parametrize("ending", [Ending.DONE, Ending.FAILED, Ending.BLOCKED])
def test_a_last_step_comes_whatever_happened(ending: Ending) -> None:
    last = Step(
        id="last", action="do", target="x", effect="", after=("a/begin", "a/end"), always=True
    )
    schedule = Schedule(plan(head("a", x=1), tail("a"), last, limits={"x": 1}))
    (first,) = schedule.begin()
    schedule.end(first, ending)
    for step in schedule.begin():
        if step.id == "a/end":
            schedule.end(step, Ending.DONE)
    if ending is Ending.DONE:
        assert [step.id for step in schedule.begin()] == ["last"]
    else:
        assert schedule.endings["a/end"] is Ending.SKIPPED
        assert "last" not in schedule.endings


def test_who_wants_more_than_there_is_has_to_be_alone() -> None:
    claims = Claims({"x": 2})
    assert claims.fit({"x": 5})
    claims.hold("one", {"x": 1})
    assert not claims.fit({"x": 5})
    assert claims.fit({"x": 1, "unlimited": 9})
    claims.release("one")
    assert claims.fit({"x": 5})
