"""Which pods came in the place of those that left, as far as their names and times tell; pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from shipkeeper.model.meta import condition
from shipkeeper.model.pod import Pod
from shipkeeper.nodes.picture import PodPicture

# Creation times are whole seconds.
_ROUNDING = timedelta(seconds=1)


class Replacement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A pod that came for another; `ready_at` is None while it is not Ready."""

    key: str
    node: str
    created_at: datetime | None
    ready_at: datetime | None


def match_replacements(
    left: Iterable[PodPicture], pods: Iterable[Pod], since: datetime
) -> Mapping[str, Replacement]:
    """A replacement for each pod that is leaving or gone, by its uid, where there is one.

    Pods of a ReplicaSet share all but the last part of their names; a StatefulSet's pod has the
    name of the one before. First come, first matched.
    """
    leaving = [each for each in left if each.began_at is not None]
    gone = {each.uid for each in leaving}
    families = {_family(each.key) for each in leaving} | {each.key for each in leaving}
    came: defaultdict[str, list[Pod]] = defaultdict(list)
    for pod in pods:
        created = pod.metadata.creation_timestamp
        is_new = created is not None and created >= since - _ROUNDING and pod.uid not in gone
        if is_new and not pod.is_finished:
            family = pod.key if pod.key in families else _family(pod.key)
            if family in families:
                came[family].append(pod)
    for found in came.values():
        found.sort(key=lambda pod: (pod.metadata.creation_timestamp, pod.name), reverse=True)
    matched: dict[str, Replacement] = {}
    for each in sorted(leaving, key=lambda pod: (pod.began_at, pod.key)):
        pod = _take(came, each)
        if pod is not None:
            matched[each.uid] = _replacement(pod)
    return matched


def _take(came: Mapping[str, list[Pod]], left: PodPicture) -> Pod | None:
    for family in (left.key, _family(left.key)):
        found = came.get(family)
        if found and left.began_at is not None:
            created = found[-1].metadata.creation_timestamp
            if created is not None and created >= left.began_at - 2 * _ROUNDING:
                return found.pop()
    return None


def _family(key: str) -> str:
    """The key without its last part, which a controller makes up."""
    return key.rpartition("-")[0]


def _replacement(pod: Pod) -> Replacement:
    ready = condition(pod.status.conditions, "Ready")
    is_ready = ready is not None and ready.status == "True"
    return Replacement(
        key=pod.key,
        node=pod.spec.node_name,
        created_at=pod.metadata.creation_timestamp,
        ready_at=ready.last_transition_time if ready is not None and is_ready else None,
    )
