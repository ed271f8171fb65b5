"""What a fleet's maintenance really took, from the audit log, and how fast it could be at best."""

import json
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from math import ceil
from pathlib import Path
from statistics import fmean, median
from typing import Any

import msgspec


class MeasuredPace(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds that pods took.

    leave: from the eviction of a node's slowest pod until that is gone, the mean over the nodes;
    replace: from an eviction until a replacement is Ready, the median.
    """

    leave: float
    replace: float


def nodes_of_pods(history: Mapping[str, Any]) -> dict[str, str]:
    """The node that each pod left, by the pod's name, as the run's history has it."""
    return {
        item["key"].partition("/")[2]: step["target"].removeprefix("node/")
        for step in history["steps"]
        if step["action"] == "drain"
        for item in step["items"]
    }


def measured_pace(audit_log: Path, namespace: str, node_of_pod: Mapping[str, str]) -> MeasuredPace:
    """What the audit log shows; an application's n-th eviction makes way for its n-th Ready pod."""
    evicted: defaultdict[str, list[float]] = defaultdict(list)
    ready: defaultdict[str, list[float]] = defaultdict(list)
    times: dict[str, float] = {}
    gone: defaultdict[str, list[float]] = defaultdict(list)
    patches: defaultdict[str, int] = defaultdict(int)
    with audit_log.open() as lines:
        for line in lines:
            event = json.loads(line)
            about = event.get("objectRef", {})
            if about.get("resource") != "pods" or about.get("namespace") != namespace:
                continue
            if event.get("responseStatus", {}).get("code", 500) >= 300:
                continue
            name, at = about.get("name", ""), _seconds(event["stageTimestamp"])
            app = "-".join(name.split("-")[:2])
            if about.get("subresource") == "eviction":
                evicted[app].append(at)
                times[name] = _seconds(event["requestReceivedTimestamp"])
            elif event["verb"] == "delete" and name in times and name in node_of_pod:
                gone[node_of_pod[name]].append(at - times[name])
            elif event["verb"] == "patch" and about.get("subresource") == "status":
                patches[name] += 1
                if patches[name] == 2 and evicted[app]:
                    ready[app].append(at)
    waits = [
        later - sooner
        for app, sooners in evicted.items()
        for sooner, later in zip(sorted(sooners), sorted(ready[app]), strict=False)
    ]
    return MeasuredPace(leave=fmean(map(max, gone.values())), replace=median(waits))


def lower_bound(
    summary: Mapping[str, Any],
    pace: MeasuredPace,
    *,
    pods: int,
    budgets: int,
    allowed: int,
    max_unavailable: int,
    work_seconds: float,
) -> float:
    """The least time for all nodes: max of the slowest, the shared work, and the budgets' rounds.

    A node needs at least the time in which its slowest pod leaves it, and its own work.
    """
    nodes = len(summary["nodes"])
    node_seconds = pace.leave + work_seconds
    rounds = ceil(pods / budgets / allowed)
    return max(node_seconds, nodes * node_seconds / max_unavailable, rounds * pace.replace)


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
