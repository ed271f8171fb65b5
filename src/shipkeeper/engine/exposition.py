"""Metrics in Prometheus's text format; pure.

https://prometheus.io/docs/instrumenting/exposition_formats/ (text format 0.0.4).
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


class Series(msgspec.Struct, frozen=True):
    """One value of a metric; a summary's are named by their suffixes `_sum` and `_count`."""

    value: float
    labels: Labels = {}
    suffix: str = ""


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric and all its values; `type` is gauge, counter or summary."""

    name: str
    type: str
    help: str
    series: tuple[Series, ...]


def expose(metrics: Iterable[Metric]) -> str:
    """The metrics as text, each with its help and type; those without values are left out."""
    return "".join(f"{line}\n" for each in metrics if each.series for line in _lines(each))


def by_label(label: str, values: Mapping[str, float]) -> tuple[Series, ...]:
    """One series for each value of a label, sorted by it."""
    return tuple(Series(value, {label: key}) for key, value in sorted(values.items()))


def read_gauge(text: str, name: str, label: str) -> dict[str, float]:
    """What a text says of a gauge with one label, by its values; lines that are odd are skipped."""
    found: dict[str, float] = {}
    start = f'{name}{{{label}="'
    for line in text.splitlines():
        if not line.startswith(start):
            continue
        value, _, number = line.removeprefix(start).partition('"} ')
        try:
            found[value] = float(number)
        except ValueError:
            continue
    return found


def _lines(metric: Metric) -> Iterator[str]:
    yield f"# HELP {metric.name} {_escape(metric.help)}"
    yield f"# TYPE {metric.name} {metric.type}"
    for each in metric.series:
        yield f"{metric.name}{each.suffix}{_labels(each.labels)} {each.value!r}"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    pairs = (
        f'{name}="{_escape(value).replace(chr(34), chr(92) + chr(34))}"'
        for name, value in sorted(labels.items())
    )
    return f"{{{','.join(pairs)}}}"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
