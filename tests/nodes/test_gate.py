"""The queue before a budget: never more under way than allowed, and nobody is forgotten."""

import asyncio
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.model.disruption import BudgetStatus, PodDisruptionBudget
from shipkeeper.model.meta import ObjectMeta
from shipkeeper.model.pod import Pod
from shipkeeper.nodes.gate import BudgetQueue


def pod(number: int) -> Pod:
    return Pod(metadata=ObjectMeta(name=f"p{number}", namespace="n", uid=f"u{number}"))


def budget(allowed: int, *shown: Pod) -> PodDisruptionBudget:
    disrupted = {each.name: datetime(2026, 1, 1, tzinfo=UTC) for each in shown}
    return PodDisruptionBudget(
        metadata=ObjectMeta(name="b", namespace="n"),
        status=BudgetStatus(disruptions_allowed=allowed, disrupted_pods=disrupted),
    )


async def enter_all(queue: BudgetQueue, count: int) -> list[asyncio.Task[bool]]:
    tasks = [asyncio.create_task(queue.enter(pod(number))) for number in range(count)]
    await asyncio.sleep(0)
    return tasks


async def passed(tasks: list[asyncio.Task[bool]]) -> list[int]:
    for _ in range(3):
        await asyncio.sleep(0)
    return [number for number, task in enumerate(tasks) if task.done() and task.result()]


async def test_as_many_as_are_allowed_go_through_in_their_order() -> None:
    queue = BudgetQueue(2)
    tasks = await enter_all(queue, 4)
    assert await passed(tasks) == [0, 1]
    # The server has counted the first, so that one more disruption is left for the second.
    queue.update(budget(1, pod(0)))
    assert await passed(tasks) == [0, 1]
    queue.update(budget(1, pod(0), pod(1)))
    assert await passed(tasks) == [0, 1, 2]
    queue.withdraw(pod(3))
    assert [await task for task in tasks] == [True, True, True, False]


async def test_a_refusal_shuts_the_gate_until_the_budget_changes() -> None:
    queue = BudgetQueue(1)
    tasks = await enter_all(queue, 2)
    queue.turned_down(pod(0))
    assert await passed(tasks) == [0]
    queue.update(budget(1))
    assert await passed(tasks) == [0, 1]


async def test_a_budget_that_is_gone_lets_everybody_through() -> None:
    queue = BudgetQueue(0)
    tasks = await enter_all(queue, 3)
    assert await passed(tasks) == []
    queue.update(None)
    assert await passed(tasks) == [0, 1, 2]


async def test_who_gives_up_waiting_does_not_block_the_next() -> None:
    queue = BudgetQueue(0)
    tasks = await enter_all(queue, 2)
    tasks[0].cancel()
    await asyncio.gather(tasks[0], return_exceptions=True)
    queue.update(budget(1))
    assert await passed(tasks[1:]) == [0]


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("allow"), st.integers(0, 3)),
        st.tuples(st.just("refuse"), st.integers(0, 5)),
        st.tuples(st.just("leave"), st.integers(0, 5)),
    ),
    max_size=20,
)


@given(st.integers(0, 6), EVENTS)
def test_never_more_are_let_through_than_allowed(count: int, events: list[tuple[str, int]]) -> None:
    asyncio.run(play(count, events))


async def play(count: int, events: list[tuple[str, int]]) -> None:
    queue = BudgetQueue(0)
    tasks = await enter_all(queue, count)
    shown: set[int] = set()
    for kind, number in events:
        before = set(await passed(tasks))
        if kind == "allow":
            shown |= before
            queue.update(budget(number, *(pod(each) for each in shown)))
            assert len(set(await passed(tasks)) - before) <= number
        elif kind == "refuse" and number in before - shown:
            queue.turned_down(pod(number))
            assert set(await passed(tasks)) == before
        elif kind == "leave":
            queue.withdraw(pod(number))
    queue.update(None)
    await asyncio.gather(*tasks)
