"""HorizontalPodAutoscalers before v2."""

from collections.abc import Callable
from typing import Any

from shipkeeper.backup.convert.step import Step, Steps
from shipkeeper.backup.manifest import Manifest, parts

Source = dict[str, Any]


def _metrics(manifest: Manifest) -> None:
    # Source: pkg/apis/autoscaling/v2beta1/conversion.go.
    for metric in parts(manifest["spec"], "metrics"):
        for field, change in _CHANGES.items():
            if source := metric.get(field):
                metric[field] = change(source)
    manifest.pop("status", None)


def _resource(source: Source) -> Source:
    kept = {key: source[key] for key in ("name", "container") if key in source}
    return {**kept, "target": _target(source, value="")}


def _pods(source: Source) -> Source:
    return {"metric": _metric(source, "selector"), "target": _target(source, value="")}


def _object(source: Source) -> Source:
    return {
        "describedObject": source["target"],
        "metric": _metric(source, "selector"),
        "target": _target(source, value="targetValue", average="averageValue"),
    }


def _external(source: Source) -> Source:
    return {
        "metric": _metric(source, "metricSelector"),
        "target": _target(source, value="targetValue"),
    }


def _metric(source: Source, selector: str) -> Source:
    chosen = {"selector": source[selector]} if source.get(selector) else {}
    return {"name": source["metricName"], **chosen}


def _target(source: Source, *, value: str, average: str = "targetAverageValue") -> Source:
    if source.get("targetAverageUtilization") is not None:
        return {"type": "Utilization", "averageUtilization": source["targetAverageUtilization"]}
    if source.get(average) is not None:
        return {"type": "AverageValue", "averageValue": source[average]}
    return {"type": "Value", "value": source[value]} if value else {"type": "AverageValue"}


_CHANGES: dict[str, Callable[[Source], Source]] = {
    "resource": _resource,
    "containerResource": _resource,
    "pods": _pods,
    "object": _object,
    "external": _external,
}
_KIND = "HorizontalPodAutoscaler"

AUTOSCALING: Steps = {
    ("autoscaling/v2beta1", _KIND): Step("autoscaling/v2", _metrics),
    ("autoscaling/v2beta2", _KIND): Step("autoscaling/v2"),
}
