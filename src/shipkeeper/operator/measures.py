"""What the operator counts of itself, in Prometheus's words."""

import time
from collections import Counter, defaultdict, deque
from collections.abc import Generator, Mapping
from contextlib import contextmanager

import msgspec

from shipkeeper.engine.exposition import Metric, Series, by_label, expose
from shipkeeper.operator.api.kind import CustomObject

_KEPT = 10_000
_QUANTILES = (0.5, 0.9, 0.99)


class _PhaseOnly(msgspec.Struct, frozen=True):
    phase: str = "Pending"


class Measure:
    """One reconcile, and whether it failed."""

    def __init__(self) -> None:
        self.reason = ""

    def fail(self, reason: str) -> None:
        """Note that it failed, and why."""
        self.reason = reason


class Measures:
    """The operator's own figures."""

    def __init__(self) -> None:
        self.is_leader = False
        self.transitions = 0
        self._objects: dict[str, Mapping[str, CustomObject]] = {}
        self.gauges: dict[str, dict[str, float]] = {}
        self._depths: dict[str, float] = {}
        self._reconciles: Counter[str] = Counter()
        self._errors: Counter[tuple[str, str]] = Counter()
        self._took: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_KEPT))
        self._spent: defaultdict[str, float] = defaultdict(float)

    def lead(self) -> None:
        """This process leads from now on."""
        self.is_leader = True
        self.transitions += 1

    def stand_by(self) -> None:
        """It leads no more: what a leader knows of objects is told by the next one alone."""
        self.is_leader = False
        self._objects.clear()
        self._depths.clear()
        self.gauges.clear()

    @contextmanager
    def reconciling(self, kind: str) -> Generator[Measure]:
        """Measure one reconcile."""
        measure, began = Measure(), time.perf_counter()
        try:
            yield measure
        finally:
            took = time.perf_counter() - began
            self._reconciles[kind] += 1
            self._spent[kind] += took
            self._took[kind].append(took)
            if measure.reason:
                self._errors[kind, measure.reason] += 1

    def depth(self, kind: str, depth: int) -> None:
        """How many keys of a kind wait."""
        self._depths[kind] = depth

    def count(self, kind: str, objects: Mapping[str, CustomObject]) -> None:
        """Count the objects of a kind, whenever somebody asks, by their phases."""
        self._objects[kind] = objects

    def _phases(self) -> Counter[tuple[str, str]]:
        return Counter(
            (kind, msgspec.json.decode(each.status, type=_PhaseOnly).phase)
            for kind, objects in self._objects.items()
            for each in objects.values()
        )

    def expose(self) -> str:
        """Everything, as Prometheus reads it."""
        return expose(self._metrics())

    def _metrics(self) -> tuple[Metric, ...]:
        objects = tuple(
            Series(count, {"kind": kind, "phase": phase})
            for (kind, phase), count in sorted(self._phases().items())
        )
        return (
            *self._of_leading(),
            *self._of_reconciling(),
            _gauge("shipkeeper_objects", "Objects by kind and phase.", objects),
            *(
                _gauge(name, _GAUGES[name], by_label("name", values))
                for name, values in sorted(self.gauges.items())
            ),
        )

    def _of_leading(self) -> tuple[Metric, ...]:
        return (
            _gauge(
                "shipkeeper_operator_leader",
                "Whether this process leads.",
                (Series(float(self.is_leader)),),
            ),
            Metric(
                name="shipkeeper_operator_leader_transitions_total",
                type="counter",
                help="How often this process began to lead.",
                series=(Series(self.transitions),),
            ),
        )

    def _of_reconciling(self) -> tuple[Metric, ...]:
        took = tuple(each for kind in sorted(self._took) for each in self._times(kind))
        return (
            _gauge(
                "shipkeeper_operator_queue_depth",
                "Objects that wait to be reconciled.",
                by_label("kind", self._depths),
            ),
            Metric(
                name="shipkeeper_operator_reconcile_errors_total",
                type="counter",
                help="Reconciles that failed, by kind and reason.",
                series=tuple(
                    Series(count, {"kind": kind, "reason": reason})
                    for (kind, reason), count in sorted(self._errors.items())
                ),
            ),
            Metric(
                name="shipkeeper_operator_reconcile_seconds",
                type="summary",
                help="How long reconciles took, by kind.",
                series=took,
            ),
        )

    def _times(self, kind: str) -> tuple[Series, ...]:
        """How long the reconciles of a kind took: quantiles of the last ones, and of all the sum.

        Each kind by itself: a kind with many quick ones would hide that those of another are slow.
        """
        took, labels = sorted(self._took[kind]), {"kind": kind}
        return (
            *(
                Series(took[int(len(took) * share)], {**labels, "quantile": str(share)})
                for share in _QUANTILES
            ),
            Series(self._spent[kind], labels, suffix="_sum"),
            Series(self._reconciles[kind], labels, suffix="_count"),
        )


def _gauge(name: str, about: str, series: tuple[Series, ...]) -> Metric:
    return Metric(name=name, type="gauge", help=about, series=series)


_GAUGES = {
    "shipkeeper_backup_repository_reachable": "Whether a repository could be opened at last.",
    "shipkeeper_backup_schedule_last_success_timestamp_seconds": (
        "When a schedule's last complete backup was made."
    ),
    "shipkeeper_backup_schedule_times_without_success": (
        "Times of a schedule in a row that passed without a complete backup."
    ),
    "shipkeeper_maintenance_nodes_done": "Nodes of a maintenance that are done.",
    "shipkeeper_maintenance_nodes_total": "Nodes of a maintenance.",
}
