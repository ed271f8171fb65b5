import pytest

from shipkeeper.engine.plan import Plan, Step


def step(id_: str, *after: str) -> Step:
    return Step(id=id_, action="do", target="node/a", effect="done", after=after)


def test_steps_follow_only_what_comes_before_them() -> None:
    with pytest.raises(ValueError, match="come later"):
        Plan(procedure="drain", request={}, steps=(step("a", "b"), step("b")))


def test_ids_are_unique() -> None:
    with pytest.raises(ValueError, match="two steps"):
        Plan(procedure="drain", request={}, steps=(step("a"), step("a")))
