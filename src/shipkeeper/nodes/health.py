"""Whether a cluster is as healthy as it was before the maintenance. Pure: observed elsewhere."""

import math
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum

import msgspec

from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.metrics.prometheus import PrometheusOptions
from shipkeeper.model.node import Node
from shipkeeper.model.sample import Sample
from shipkeeper.model.workload import Workload

_SHOWN = 3
# The alerts of kube-prometheus that always fire, or only silence others.
_NEVER_QUIET = 'alertname!~"Watchdog|InfoInhibitor"'


class WorkloadHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Pods that a controller wants and that are Ready; `is_current` once it has seen its spec."""

    wanted: int
    ready: int
    is_current: bool = True

    @property
    def is_complete(self) -> bool:
        """Whether it has all the pods that it wants."""
        return self.is_current and self.ready >= self.wanted


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes by name, whether they are Ready; workloads by target (`deployment/ns/name`).

    `findings` is what else speaks against going on: metrics, or that nothing is known.
    """

    nodes: dict[str, bool]
    workloads: dict[str, WorkloadHealth]
    findings: tuple[Verdict, ...] = ()


class Meaning(StrEnum):
    """What a query's result says.

    HEALTHY: all is well if there is a result and no value in it is zero or NaN, as of
    `sum(up) > bool 3`; without a result it is not, for a metric that vanished proves nothing.
    TROUBLE: each sample is a trouble whatever its value, as of an alerting rule's expression.
    """

    HEALTHY = "Healthy"
    TROUBLE = "Trouble"


class MetricCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A query that decides whether to go on."""

    query: str
    meaning: Meaning


class HealthOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How health is judged between waves, all in seconds.

    It must hold for `soak` without a break, and be back within `timeout`; the metrics server is
    asked every `metrics_every`.
    """

    soak: float = 0.0
    timeout: float = 600.0
    checks: tuple[MetricCheck, ...] = ()
    prometheus: PrometheusOptions | None = None
    metrics_every: float = 15.0


def firing_alerts(matchers: str = "") -> MetricCheck:
    """That no alert fires; `matchers` are PromQL's, such as `severity="critical",team=~"a|b"`.

    Without any, every alert counts but those that fire always.
    """
    return MetricCheck(
        query=f'ALERTS{{alertstate="firing",{matchers or _NEVER_QUIET}}}',
        meaning=Meaning.TROUBLE,
    )


def health_of(
    nodes: Iterable[Node],
    workloads: Mapping[str, Iterable[Workload]],
    findings: tuple[Verdict, ...] = (),
) -> Health:
    """The health of what was observed; workloads by their kind.

    ReplicaSets of Deployments come and go with them and are left out, as is what is being deleted.
    """
    return Health(
        nodes={node.name: node.is_ready for node in nodes},
        workloads={
            f"{kind.lower()}/{each.key}": _workload_health(each)
            for kind, found in workloads.items()
            for each in found
            if not each.metadata.deletion_timestamp
            if kind != "ReplicaSet" or each.metadata.controller is None
        },
        findings=findings,
    )


def judge_health(before: Health, now: Health, done: Collection[str]) -> tuple[Verdict, ...]:
    """What is worse than before: empty if the next nodes may be taken.

    Every node of `done` must be Ready; every workload that had all its pods before must have all
    that it wants now (one that was deleted wants none); and there must be no findings.
    What was broken before does not count.
    """
    return (*_judge_nodes(now, done), *_judge_workloads(before, now), *now.findings)


def judge_samples(check: MetricCheck, samples: tuple[Sample, ...]) -> Verdict | None:
    """What the result of a query has against going on; None if nothing."""
    if check.meaning is Meaning.TROUBLE:
        return _metric(check, f"finds {_some(samples)}") if samples else None
    if not samples:
        return _metric(check, "has no result, which proves nothing")
    false = tuple(each for each in samples if each.value == 0 or math.isnan(each.value))
    return _metric(check, f"does not hold: {_some(false)}") if false else None


def unanswered(check: MetricCheck, message: str, hint: str) -> Verdict:
    """The verdict on a query that got no answer."""
    return Verdict(
        target="metrics",
        effect=Effect.WAIT,
        reason="MetricsUnknown",
        message=f"the query {check.query} got no result: {message}",
        remedy=hint,
    )


def out_of_sight(kind: str, message: str) -> Verdict:
    """The verdict on objects that cannot be followed at the moment."""
    return Verdict(
        target=kind.lower(),
        effect=Effect.WAIT,
        reason="OutOfSight",
        message=f"cannot be followed, so that nothing is known of them: {message}",
        remedy="it goes on as soon as the API server answers again",
    )


def _workload_health(workload: Workload) -> WorkloadHealth:
    status = workload.status
    is_current = status.observed_generation >= workload.metadata.generation
    if workload.spec.replicas is None:
        wanted, ready = status.desired_number_scheduled, status.number_ready
    else:
        wanted, ready = workload.spec.replicas, status.ready_replicas
    return WorkloadHealth(wanted=wanted, ready=ready, is_current=is_current)


def _judge_nodes(now: Health, done: Collection[str]) -> tuple[Verdict, ...]:
    return tuple(
        Verdict(
            target=f"node/{name}",
            effect=Effect.WAIT,
            reason="NodeNotReady" if name in now.nodes else "NodeGone",
            message="was Ready after its maintenance and is not any more"
            if name in now.nodes
            else "is gone since its maintenance",
            remedy=f"look at its kubelet: kubectl describe node {name}",
        )
        for name in sorted(done)
        if not now.nodes.get(name, False)
    )


def _judge_workloads(before: Health, now: Health) -> tuple[Verdict, ...]:
    return tuple(
        _short(target, found)
        for target, found in sorted(now.workloads.items())
        if not found.is_complete and target in before.workloads
        if before.workloads[target].is_complete
    )


def _short(target: str, found: WorkloadHealth) -> Verdict:
    kind, namespace, name = target.split("/")
    return Verdict(
        target=target,
        effect=Effect.WAIT,
        reason="WorkloadNotReady",
        message=f"has {found.ready} of {found.wanted} pods Ready, and had all of them before"
        if found.ready < found.wanted
        else "has changed, and its controller has not yet seen it",
        remedy=f"see what they wait for: kubectl -n {namespace} describe {kind} {name}",
    )


def _metric(check: MetricCheck, message: str) -> Verdict:
    return Verdict(
        target="metrics",
        effect=Effect.WAIT,
        reason="MetricsUnhealthy",
        message=f"the query {check.query} {message}",
        remedy="it goes on as soon as that is over; see the query in the metrics server",
    )


def _some(samples: tuple[Sample, ...]) -> str:
    more = f" and {len(samples) - _SHOWN} more" if len(samples) > _SHOWN else ""
    return "; ".join(str(each) for each in samples[:_SHOWN]) + more
