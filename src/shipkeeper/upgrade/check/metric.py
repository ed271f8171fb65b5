"""The API server's own count of requests for deprecated APIs; pure."""

import re
from collections.abc import Iterator

from shipkeeper.upgrade.check.evidence import Asked

NAME = b"apiserver_requested_deprecated_apis{"
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def read_asked(metrics: bytes) -> Iterator[Asked]:
    """Every API that the metric counts, out of the whole text of /metrics."""
    start = metrics.find(NAME)
    while start >= 0:
        end = metrics.find(b"\n", start)
        line = metrics[start : end if end >= 0 else None].decode()
        labels = dict(_LABEL.findall(line.rpartition("}")[0]))
        if float(line.rpartition(" ")[2]) > 0:
            yield Asked(
                group=labels.get("group", ""),
                version=labels.get("version", ""),
                resource=labels.get("resource", ""),
                subresource=labels.get("subresource", ""),
                removed=_minor(labels.get("removed_release", "")),
            )
        start = metrics.find(NAME, start + 1)


def _minor(release: str) -> int:
    minor = release.partition(".")[2]
    return int(minor) if minor.isdigit() else 0
