"""What an onlooker makes of a journal and of what is told, in whatever pieces they come."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.engine.journal import Entry, Outcome, Phase, RunRecord
from shipkeeper.engine.plan import Item, Plan, Step
from shipkeeper.model.meta import Condition, ObjectMeta
from shipkeeper.model.pod import Pod, PodSpec, PodStatus
from shipkeeper.nodes.picture import PodPicture, PodState, RunPicture
from shipkeeper.nodes.replacements import match_replacements

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ITEMS = (
    Item(key="shop/web-7d9-a", uid="u1", action="Evict"),
    Item(key="shop/web-7d9-b", uid="u2", action="Evict"),
    Item(key="shop/agent", uid="u3", action="Skip"),
)
PLAN = Plan(
    procedure="maintain",
    request={"nodes": ["a"], "options": {}},
    steps=(
        Step(id="a/cordon", action="cordon", target="node/a", effect="cordoned"),
        Step(id="a/drain", action="drain", target="node/a", effect="drained", items=ITEMS),
        Step(id="gate-1", action="gate", target="cluster", effect="health holds"),
        Step(id="b/cordon", action="cordon", target="node/b", effect="cordoned"),
    ),
    outlook={"waves": [["a"], ["b"]], "leastWaves": 2},
)
RUN = RunRecord(id="maintain-1", procedure="maintain", cluster="c", plan=PLAN, started_at=NOW)


def entry(step: str, phase: Phase, seconds: int, *, item: str = "", **detail: Any) -> Entry:
    at = NOW + timedelta(seconds=seconds)
    return Entry(run=RUN.id, step=step, phase=phase, item=item, detail=detail, written_at=at)


ENTRIES = [
    entry("a/cordon", Phase.BEFORE, 1),
    entry("a/cordon", Phase.AFTER, 2),
    entry("a/drain", Phase.BEFORE, 3),
    entry("a/drain", Phase.BEFORE, 4, item="u1", pod="shop/web-7d9-a"),
    entry("a/drain", Phase.BEFORE, 4, item="u2", pod="shop/web-7d9-b"),
    entry("a/drain", Phase.AFTER, 9, item="u1", pod="shop/web-7d9-a"),
]


def test_a_node_under_way() -> None:
    picture = RunPicture(RUN)
    assert [node.state for node in picture.nodes.values()] == ["Pending", "Pending"]
    picture.take_entries(ENTRIES)
    node = picture.nodes["a"]
    assert (node.state, node.wave, node.moved, node.moving) == ("Draining", 1, 1, 2)
    assert node.began_at == NOW + timedelta(seconds=1)
    assert node.ended_at is None
    assert picture.nodes["b"].wave == 2
    assert {pod.uid: pod.state for pod in picture.pods_of("a")} == {
        "u1": PodState.GONE,
        "u2": PodState.LEAVING,
    }


def test_what_is_told_refines_what_is_written() -> None:
    picture = RunPicture(RUN)
    picture.take_entries(ENTRIES)
    wait = {"type": "item", "step": "a/drain", "state": "Waiting", "message": "m", "budget": "b"}
    picture.take_told([{**wait, "item": "shop/web-7d9-b"}, {**wait, "item": "shop/web-7d9-a"}])
    waiting, gone = picture.pods["u2"], picture.pods["u1"]
    assert (waiting.state, waiting.message, waiting.budget) == (PodState.WAITING, "m", "b")
    assert gone.state is PodState.GONE
    assert picture.nodes["a"].waiting == 1
    picture.take_entries([entry("a/drain", Phase.AFTER, 20)])
    assert picture.pods["u2"].state is PodState.GONE


def test_a_failure_is_told_until_the_step_is_begun_again() -> None:
    picture = RunPicture(RUN)
    failed = entry("a/drain", Phase.FAILED, 10, reason="Timeout", message="too long", remedy="wait")
    picture.take_entries([*ENTRIES, failed])
    assert picture.nodes["a"].state == "Failed"
    verdict = picture.nodes["a"].steps[1].verdict
    assert verdict is not None
    assert (verdict.reason, verdict.message, verdict.remedy) == ("Timeout", "too long", "wait")
    picture.take_entries([entry("a/drain", Phase.BEFORE, 30)])
    assert picture.nodes["a"].state == "Draining"


def test_of_a_run_that_is_over_nothing_is_on_its_way() -> None:
    end = NOW + timedelta(seconds=90)
    failed = msgspec.structs.replace(RUN, finished_at=end, outcome=Outcome.FAILED)
    picture = RunPicture(failed)
    picture.take_entries(ENTRIES)
    picture.take_entries([entry("a/cordon", Phase.UNDONE, 80)])
    picture.settle()
    node = picture.nodes["a"]
    assert (node.state, node.waiting, node.moved) == ("Undone", 0, 1)
    assert node.ended_at == end
    assert picture.nodes["b"].state == "Pending"
    assert {uid: pod.state for uid, pod in picture.pods.items()} == {
        "u1": PodState.GONE,
        "u2": PodState.STAYED,
    }


def test_a_run_that_was_over_and_is_given_up_goes_on() -> None:
    failed = msgspec.structs.replace(RUN, finished_at=NOW, outcome=Outcome.FAILED)
    picture = RunPicture(failed)
    picture.take_entries(ENTRIES)
    picture.settle()
    assert picture.nodes["a"].state == "Undone"
    picture.run = msgspec.structs.replace(failed, finished_at=None, outcome=Outcome.ABORTING)
    picture.take_entries([entry("a/cordon", Phase.BEFORE, 95)])
    picture.settle()
    assert picture.nodes["a"].state == "Cordoning"
    assert picture.nodes["a"].ended_at is None
    # Whoever stayed is on its way again as soon as it is evicted again.
    picture.take_entries([entry("a/drain", Phase.BEFORE, 96, item="u2", pod="shop/web-7d9-b")])
    assert picture.pods["u2"].state is PodState.LEAVING


def test_a_step_ends_its_own_pods_and_no_others() -> None:
    agent = Item(key="shop/agent", uid="u9", action="Evict")
    last = Step(id="a/daemons", action="daemons", target="node/a", effect="ended", items=(agent,))
    plan = Plan(procedure="maintain", request=PLAN.request, steps=(*PLAN.steps[:2], last))
    picture = RunPicture(msgspec.structs.replace(RUN, plan=plan, outcome=Outcome.SUCCEEDED))
    picture.take_entries([*ENTRIES, entry("a/drain", Phase.AFTER, 20)])
    assert picture.pods["u2"].state is PodState.GONE
    assert picture.pods["u9"].state is PodState.PLANNED
    picture.take_entries([entry("a/daemons", Phase.AFTER, 30)])
    picture.settle()
    assert picture.pods["u9"].state is PodState.GONE


def test_a_still_picture_stays_as_it_was() -> None:
    picture = RunPicture(RUN)
    picture.take_entries(ENTRIES)
    still = picture.still()
    assert [node.state for node in still.nodes] == ["Draining", "Pending"]
    before = msgspec.json.encode(still)
    gone = entry("a/drain", Phase.AFTER, 9, item="u8", pod="shop/web-7d9-c")
    picture.take_entries([gone, entry("plan", Phase.AFTER, 2, changes=["b is gone"])])
    picture.take_told([{"type": "note", "message": "m"}])
    assert msgspec.json.encode(still) == before


def test_gates_and_revisions_are_told() -> None:
    picture = RunPicture(RUN)
    picture.take_entries(
        [entry("gate-1", Phase.BEFORE, 1), entry("plan", Phase.AFTER, 2, changes=["b is gone"])]
    )
    assert picture.gates["gate-1"].state == "Begun"
    assert picture.revisions == ["b is gone"]


def test_a_new_plan_keeps_what_was_done() -> None:
    picture = RunPicture(RUN)
    picture.take_entries(ENTRIES)
    before = picture.nodes["a"]
    picture.take_plan(Plan(procedure="maintain", request=PLAN.request, steps=PLAN.steps[:2]))
    assert list(picture.nodes) == ["a"]
    assert picture.nodes["a"].steps == before.steps


def test_nonsense_is_passed_over() -> None:
    picture = RunPicture(RUN)
    picture.take_told([{}, {"type": "item"}, {"type": "item", "step": 3}, {"type": "failed"}])
    picture.take_told([{"type": "failed", "step": "a/drain", "verdict": 3}, {"type": "note"}])
    picture.take_entries([entry("gone/drain", Phase.AFTER, 1), entry("x", Phase.AFTER, 1, item="")])
    assert picture.nodes["a"].state == "Pending"


@given(st.lists(st.integers(0, len(ENTRIES)), max_size=4))
def test_pieces_make_the_whole(cuts: list[int]) -> None:
    whole, pieces = RunPicture(RUN), RunPicture(RUN)
    whole.take_entries(ENTRIES)
    edges = [0, *sorted(cuts), len(ENTRIES)]
    for begin, end in itertools.pairwise(edges):
        pieces.take_entries(ENTRIES[begin:end])
        assert pieces.nodes
    assert pieces.nodes == whole.nodes
    assert pieces.pods == whole.pods


def pod(name: str, uid: str, seconds: int, *, is_ready: bool = True) -> Pod:
    at = NOW + timedelta(seconds=seconds)
    ready = Condition(type="Ready", status=str(is_ready), last_transition_time=at)
    return Pod(
        metadata=ObjectMeta(name=name, namespace="shop", uid=uid, creation_timestamp=at),
        spec=PodSpec(node_name="b"),
        status=PodStatus(phase="Running", conditions=(ready,)),
    )


def left(key: str, uid: str, seconds: int) -> PodPicture:
    return PodPicture(
        uid=uid,
        key=key,
        node="a",
        state=PodState.GONE,
        began_at=NOW + timedelta(seconds=seconds),
    )


def test_replacements_are_those_that_came_since() -> None:
    gone = [
        left("shop/web-7d9-a", "u1", 10),
        left("shop/web-7d9-b", "u2", 20),
        left("shop/db-0", "u3", 10),
    ]
    pods = [
        pod("web-7d9-old", "n0", -50),
        pod("web-7d9-c", "n1", 10),
        pod("web-7d9-d", "n2", 21, is_ready=False),
        pod("db-0", "n3", 12),
        pod("other-1", "n4", 12),
    ]
    found = match_replacements(gone, pods, NOW)
    assert {uid: each.key for uid, each in found.items()} == {
        "u1": "shop/web-7d9-c",
        "u2": "shop/web-7d9-d",
        "u3": "shop/db-0",
    }
    assert found["u1"].ready_at is not None
    assert found["u2"].ready_at is None


def test_what_has_not_begun_has_no_replacement() -> None:
    planned = PodPicture(uid="u1", key="shop/web-7d9-a", node="a")
    assert match_replacements([planned], [pod("web-7d9-c", "n1", 10)], NOW) == {}
