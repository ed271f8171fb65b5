"""The metrics of a run: word for word, and as a Prometheus parser reads them."""

from prometheus_client.parser import text_string_to_metric_families as parse

from shipkeeper.engine.exposition import Metric, Series, expose, read_gauge
from shipkeeper.engine.metrics import LAST_SUCCESS, RunMetrics
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.progress import (
    ItemChanged,
    RunStarted,
    StepDone,
    StepFailed,
    StepStarted,
)
from shipkeeper.engine.verdict import Effect, Verdict
from tests.cli.golden import assert_golden

STEPS = tuple(
    Step(id=f"{node}/{action}", action=action, target=f"node/{node}", effect="")
    for node in ("a", "b", "c")
    for action in ("cordon", "drain", "uncordon")
)
PLAN = Plan(procedure="maintain", request={}, steps=STEPS)
FAILURE = Verdict(target="node/b", effect=Effect.WARN, reason="GlobalTimeout", message="too late")


class Clock:
    """A time that goes on by a quarter of a second whenever it is asked for."""

    def __init__(self) -> None:
        self.now = 1_772_366_400.0

    def __call__(self) -> float:
        self.now += 0.25
        return self.now


def half_way() -> RunMetrics:
    """One node is done, one failed, one is not begun; a pod waits for its budget."""
    metrics = RunMetrics(Clock(), {"drain": 1_772_000_000.5})
    metrics(RunStarted("maintain-1", PLAN, resumed=False))
    for step in STEPS[:3]:
        metrics(StepStarted(step))
        if step.action == "drain":
            metrics(ItemChanged(step.id, "shop/web-1", "Waiting", "used up", "shop/web"))
            metrics(ItemChanged(step.id, "shop/web-1", "Waiting", "still", "shop/web"))
            metrics(ItemChanged(step.id, "shop/web-1", "Evicting"))
            metrics(ItemChanged(step.id, "shop/web-1", "Gone"))
        metrics(StepDone(step))
    metrics(StepStarted(STEPS[3]))
    metrics(StepDone(STEPS[3]))
    metrics(StepStarted(STEPS[4]))
    metrics(ItemChanged(STEPS[4].id, "shop/web-2", "Waiting", "used up", "shop/web"))
    metrics(StepFailed(STEPS[4], FAILURE))
    return metrics


def values(text: str, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for family in parse(text)
        for sample in family.samples
        if sample.name == name
    }


def test_the_text_is_known_word_for_word() -> None:
    assert_golden("metrics.prom", half_way().as_text())


def test_a_parser_reads_what_was_meant() -> None:
    text = half_way().as_text()
    states = {("Done",): 1, ("Failed",): 1, ("Pending",): 1}
    assert values(text, "shipkeeper_nodes") == states
    assert values(text, "shipkeeper_pods_moved_total") == {(): 1}
    assert values(text, "shipkeeper_evictions_blocked_total") == {("shop/web",): 2}
    assert values(text, "shipkeeper_pods_waiting") == {("shop/web",): 1}
    assert values(text, "shipkeeper_step_duration_seconds_count") == {
        ("cordon",): 2,
        ("drain",): 2,
        ("uncordon",): 1,
    }
    assert values(text, "shipkeeper_step_duration_seconds_sum")["drain",] == 0.5
    assert values(text, "shipkeeper_steps_failed_total") == {("drain", "GlobalTimeout"): 1}
    assert values(text, LAST_SUCCESS) == {("drain",): 1_772_000_000.5}
    assert values(text, "shipkeeper_run_finish_timestamp_seconds") == {}


def test_the_end_is_told_and_an_earlier_success_is_kept() -> None:
    failed, done = half_way(), half_way()
    failed.end(has_succeeded=False)
    done.end(has_succeeded=True)
    assert read_gauge(failed.as_text(), LAST_SUCCESS, "procedure") == {"drain": 1_772_000_000.5}
    succeeded = read_gauge(done.as_text(), LAST_SUCCESS, "procedure")
    finished = values(done.as_text(), "shipkeeper_run_finish_timestamp_seconds")
    assert succeeded == {"drain": 1_772_000_000.5, "maintain": finished[()]}
    assert values(done.as_text(), "shipkeeper_pods_waiting") == {("shop/web",): 0}


def test_odd_names_are_escaped() -> None:
    odd = 'a"b\\c\nd'
    metric = Metric(name="m", type="gauge", help="one\ntwo \\", series=(Series(1, {"l": odd}),))
    (family,) = parse(expose([metric]))
    assert family.samples[0].labels == {"l": odd}
    assert read_gauge('m nonsense\nm{l="x"} many\nother 1\n', "m", "l") == {}
