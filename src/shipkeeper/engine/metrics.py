"""The metrics of a run, folded from what it tells; pure.

Times are Unix seconds. The values of labels are kinds of steps, states and names of budgets, never
pods or nodes, so that a metrics server is not filled with them.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping

from shipkeeper.engine.exposition import Metric, Series, by_label, expose
from shipkeeper.engine.plan import Step
from shipkeeper.engine.progress import (
    Event,
    ItemChanged,
    RunStarted,
    StepDone,
    StepFailed,
    StepStarted,
    StepUndone,
)

LAST_SUCCESS = "shipkeeper_last_success_timestamp_seconds"
PENDING, FAILED, DONE = "Pending", "Failed", "Done"


class RunMetrics:
    """A sink; `as_text` tells what is known so far.

    `clock` gives the time, for events carry none; `last_success` holds, by procedure, when an
    earlier run succeeded.
    """

    def __init__(
        self, clock: Callable[[], float], last_success: Mapping[str, float] | None = None
    ) -> None:
        self._clock = clock
        self._run = ""
        self._procedure = ""
        self._started = 0.0
        self._finished = 0.0
        self._nodes: dict[str, str] = {}
        self._last_steps: set[str] = set()
        self._moved = 0
        self._waiting: dict[str, str] = {}
        self._blocked: Counter[str] = Counter()
        self._began: dict[str, float] = {}
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._steps: Counter[str] = Counter()
        self._failures: Counter[tuple[str, str]] = Counter()
        self._last_success = dict(last_success or {})

    def __call__(self, event: Event) -> None:
        """Take in an event."""
        match event:
            case RunStarted():
                self._begin(event)
            case StepStarted(step):
                self._began[step.id] = self._clock()
                self._set(step, step.action.capitalize())
            case StepDone(step):
                self._took(step)
                self._set(step, DONE if step.id in self._last_steps else step.action.capitalize())
            case StepFailed(step, verdict):
                self._took(step)
                self._failures[step.action, verdict.reason] += 1
                self._set(step, FAILED)
            case StepUndone(step):
                self._began.pop(step.id, None)
            case ItemChanged():
                self._item(event)
            case _:
                pass

    def end(self, *, has_succeeded: bool) -> None:
        """The run is over."""
        self._finished = self._clock()
        self._waiting.clear()
        if has_succeeded and self._procedure:
            self._last_success[self._procedure] = self._finished

    def as_text(self) -> str:
        """Everything, in the text format."""
        return expose([*self._of_run(), *self._of_pods(), *self._of_steps()])

    def _begin(self, event: RunStarted) -> None:
        self._run, self._procedure = event.run, event.plan.procedure
        self._started = self._clock()
        steps = [step for step in event.plan.steps if step.target.startswith("node/")]
        last = {step.target: step.id for step in steps}
        self._nodes = dict.fromkeys(last, PENDING)
        self._last_steps = set(last.values())

    def _set(self, step: Step, state: str) -> None:
        if step.target in self._nodes:
            self._nodes[step.target] = state

    def _took(self, step: Step) -> None:
        began = self._began.pop(step.id, None)
        if began is not None:
            self._steps[step.action] += 1
            self._seconds[step.action] += self._clock() - began

    def _item(self, event: ItemChanged) -> None:
        if event.state == "Gone":
            self._moved += 1
        before = self._waiting.pop(event.item, "")
        if event.state == "Waiting" and event.budget:
            self._waiting[event.item] = event.budget
            self._blocked[event.budget] += before != event.budget

    def _of_run(self) -> Iterator[Metric]:
        about = {"run": self._run, "procedure": self._procedure}
        yield _gauge("run_info", "The run that this is about.", *_known(self._run, 1, about))
        yield _gauge(
            "run_start_timestamp_seconds",
            "When this attempt of the run began.",
            *_known(self._started, self._started),
        )
        yield _gauge(
            "run_finish_timestamp_seconds",
            "When it ended; missing while it goes on.",
            *_known(self._finished, self._finished),
        )
        yield Metric(
            name=LAST_SUCCESS,
            type="gauge",
            help="When a run last did all that it was asked for.",
            series=by_label("procedure", self._last_success),
        )
        states = {PENDING: 0, DONE: 0, FAILED: 0, **Counter(self._nodes.values())}
        nodes = by_label("state", states) if self._nodes else ()
        yield _gauge("nodes", "Nodes of the run, by the step that they are at.", *nodes)

    def _of_pods(self) -> Iterator[Metric]:
        yield _counter("pods_moved_total", "Pods that left their nodes.", Series(self._moved))
        blocked = by_label("budget", self._blocked)
        yield _counter(
            "evictions_blocked_total", "How often a pod began to wait for its budget.", *blocked
        )
        waiting = {**dict.fromkeys(self._blocked, 0), **Counter(self._waiting.values())}
        yield _gauge("pods_waiting", "Pods that wait for a budget.", *by_label("budget", waiting))

    def _of_steps(self) -> Iterator[Metric]:
        durations = [
            Series(value, {"action": action}, suffix)
            for action in sorted(self._steps)
            for suffix, value in (
                ("_sum", self._seconds[action]),
                ("_count", self._steps[action]),
            )
        ]
        yield _metric("summary", "step_duration_seconds", "How long steps took.", *durations)
        failures = [
            Series(count, {"action": action, "reason": reason})
            for (action, reason), count in sorted(self._failures.items())
        ]
        yield _counter("steps_failed_total", "Steps that failed or were blocked.", *failures)


def _known(fact: object, value: float, labels: Mapping[str, str] | None = None) -> list[Series]:
    return [Series(value, labels or {})] if fact else []


def _gauge(name: str, words: str, *series: Series) -> Metric:
    return _metric("gauge", name, words, *series)


def _counter(name: str, words: str, *series: Series) -> Metric:
    return _metric("counter", name, words, *series)


def _metric(type_: str, name: str, words: str, *series: Series) -> Metric:
    return Metric(name=f"shipkeeper_{name}", type=type_, help=words, series=series)
