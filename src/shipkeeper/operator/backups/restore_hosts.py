"""The way to the nodes on which a Restore brings volumes back: through privileged pods."""

from functools import partial

import msgspec

from shipkeeper.backup.volumes.saving import OpenHosts
from shipkeeper.engine.plan import Plan
from shipkeeper.model.duration import parse_duration
from shipkeeper.nodes.hosts import open_hosts
from shipkeeper.nodes.options import PodAccess
from shipkeeper.operator.api.contents import JobLimits
from shipkeeper.operator.api.restores import RestoreSpec

_PODS = "pods"


def with_pods(plan: Plan, spec: RestoreSpec) -> Plan:
    """The plan, which says through which pods volumes are written: those are part of it."""
    pods = _pods(spec)
    return msgspec.structs.replace(plan, request={**plan.request, _PODS: pods}) if pods else plan


def asks_for_other_pods(spec: RestoreSpec, plan: Plan) -> bool:
    """Whether a spec names other pods than were planned."""
    pods = _pods(spec)
    return plan.request.get(_PODS, pods) != pods


def way_to_hosts(spec: RestoreSpec, plan: Plan) -> OpenHosts:
    """Opens the way that was planned."""
    return partial(open_hosts, access=access_of(spec, plan))


def access_of(spec: RestoreSpec, plan: Plan) -> PodAccess:
    """The pods that were planned, though old servers let the spec change.

    A Job that is killed removes no pod of its own: none outlasts the time that a Job may take.
    """
    limits = spec.job or JobLimits()
    return PodAccess(
        lifetime=parse_duration(limits.time_limit).total_seconds(),
        **plan.request.get(_PODS, _pods(spec)),
    )


def _pods(spec: RestoreSpec) -> dict[str, str]:
    volumes = spec.volumes
    return {"image": volumes.image, "namespace": volumes.namespace} if volumes else {}
