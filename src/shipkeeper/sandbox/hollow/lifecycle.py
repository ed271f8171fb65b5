"""What a kubelet does next to a pod: pure, from what the API server shows."""

import logging
from enum import StrEnum, auto

import msgspec

from shipkeeper.errors import UsageError
from shipkeeper.model.duration import parse_duration
from shipkeeper.sandbox.hollow.pod import BoundPod
from shipkeeper.sandbox.hollow.values import Behaviour

READY_AFTER_ANNOTATION = "hollow.shipkeeper.dev/ready-after"
STOPS_AFTER_ANNOTATION = "hollow.shipkeeper.dev/stops-after"
HANG_DELETION_ANNOTATION = "hollow.shipkeeper.dev/hang-deletion"

_log = logging.getLogger(__name__)


class Action(StrEnum):
    """What a kubelet does to a pod."""

    START = auto()
    RESTART = auto()
    MAKE_READY = auto()
    FINISH = auto()


class Step(msgspec.Struct, frozen=True):
    """An action, and how many seconds after its cause it is done."""

    action: Action
    delay: float = 0.0


def next_step(pod: BoundPod, behaviour: Behaviour, boot_id: str) -> Step | None:
    """What the kubelet of a node, up since one boot, does next to a pod; None if nothing."""
    if not behaviour.is_up:
        return None
    if pod.is_deleting:
        return _finish(pod, behaviour, runs=pod.boot_id == boot_id)
    if pod.is_finished:
        return None
    if not pod.boot_id:
        return Step(Action.START)
    if pod.boot_id != boot_id:
        return Step(Action.RESTART)
    if not pod.is_ready:
        return Step(Action.MAKE_READY, ready_delay(pod, behaviour))
    return None


def ready_delay(pod: BoundPod, behaviour: Behaviour) -> float:
    """How many seconds after its start a pod gets Ready."""
    return _annotated(pod, READY_AFTER_ANNOTATION, behaviour.ready_after)


def _finish(pod: BoundPod, behaviour: Behaviour, *, runs: bool) -> Step | None:
    if behaviour.hangs_deletions or HANG_DELETION_ANNOTATION in pod.metadata.annotations:
        return None
    if not runs:
        return Step(Action.FINISH)
    wanted = _annotated(pod, STOPS_AFTER_ANNOTATION, behaviour.stops_after)
    grace = pod.metadata.deletion_grace_period_seconds
    return Step(Action.FINISH, wanted if grace is None else min(wanted, float(grace)))


def _annotated(pod: BoundPod, annotation: str, default: float) -> float:
    written = pod.metadata.annotations.get(annotation)
    if written is None:
        return default
    try:
        return parse_duration(written).total_seconds()
    except UsageError as error:
        _log.warning("pod %s, annotation %s: %s", pod.key, annotation, error)
        return default
