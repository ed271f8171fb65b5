"""What the operator is asked for at once: objects of every kind, some at work and some at rest."""

from collections.abc import Iterator
from typing import Any

import msgspec

from shipkeeper.model.base import KubeStruct
from shipkeeper.operator.api.backups import BACKUP, BACKUP_REPOSITORY, BACKUP_SCHEDULE
from shipkeeper.operator.api.kind import CustomObject, Kind
from shipkeeper.operator.api.maintenance import NODE_MAINTENANCE
from shipkeeper.operator.api.reports import ACCESS_REPORT, CERTIFICATE_REPORT
from shipkeeper.operator.api.restores import RESTORE
from shipkeeper.operator.api.upgrades import CLUSTER_UPGRADE
from shipkeeper.operator.api.windows import MAINTENANCE_WINDOW
from shipkeeper.sandbox.assets import NEWEST

REPOSITORY = "bench"
# Of a hundred objects so many are of each kind.
MIX: tuple[tuple[Kind[Any], int], ...] = (
    (NODE_MAINTENANCE, 25),
    (BACKUP, 25),
    (MAINTENANCE_WINDOW, 19),
    (BACKUP_SCHEDULE, 15),
    (RESTORE, 7),
    (ACCESS_REPORT, 4),
    (CERTIFICATE_REPORT, 4),
    # Only checked and planned: nobody upgrades this cluster.
    (CLUSTER_UPGRADE, 1),
)
# Where an object stands when all that it asks for now is done; windows have no phase.
SETTLED = {
    NODE_MAINTENANCE.kind: {"AwaitingApproval", "Succeeded"},
    BACKUP.kind: {"Completed"},
    MAINTENANCE_WINDOW.kind: {""},
    BACKUP_SCHEDULE.kind: {"Active"},
    RESTORE.kind: {"AwaitingApproval"},
    # It was looked at, whatever that came to.
    CLUSTER_UPGRADE.kind: {"Succeeded", "Planned", "Blocked"},
    ACCESS_REPORT.kind: {"Clean", "Findings"},
    CERTIFICATE_REPORT.kind: {"Clean", "Findings"},
    BACKUP_REPOSITORY.kind: {"Ready"},
}
# From these nobody comes back by waiting: the bench ends, and says why.
_HOPELESS = {"Failed", "Blocked", "Incomplete", "Aborted"}
_MAINTAINED = 20
_AT_WORK = 5
# One in so many maintenances is approved, and drains its nodes while the rest is planned.
_APPROVED = 50
_SMALL = {"namespaces": ["kube-system"], "kinds": ["configmaps"]}


class Standing(KubeStruct, frozen=True, kw_only=True):
    """How an object stands, by its status."""

    observed_generation: int = 0
    phase: str = ""
    message: str = ""
    id: str = ""


def standing(found: CustomObject) -> Standing:
    """How an object stands."""
    return msgspec.json.decode(found.status, type=Standing)


def is_settled(kind: str, found: CustomObject) -> bool:
    """Whether all that an object asks for now is done; SystemExit if that cannot come any more."""
    now = standing(found)
    if now.phase in _HOPELESS - SETTLED[kind]:
        raise SystemExit(f"{kind} {found.name} is {now.phase}: {now.message}")
    is_current = now.observed_generation == found.metadata.generation
    return is_current and now.phase in SETTLED[kind]


def first(objects: int, nodes: int) -> Iterator[tuple[Kind[Any], str, dict[str, Any]]]:
    """All but the Restores, which need a backup: kind, name and spec of each."""
    for kind, number in _numbered(objects):
        if kind is not RESTORE:
            yield kind, f"bench-{number}", _spec(kind, number, nodes)


def restores(objects: int, backup: str) -> Iterator[tuple[Kind[Any], str, dict[str, Any]]]:
    """The Restores from a backup of everything; one is of all pods, the others are small."""
    numbers = [number for kind, number in _numbered(objects) if kind is RESTORE]
    for number in numbers:
        wanted = {"namespaces": ["fleet"]} if number == numbers[0] else _SMALL
        yield (
            RESTORE,
            f"bench-{number}",
            {"repository": REPOSITORY, "backup": backup, "objects": wanted},
        )


def _numbered(objects: int) -> Iterator[tuple[Kind[Any], int]]:
    """The kinds, each with its number within itself; there is a repository beside them."""
    for kind, share in MIX:
        count = max(1, objects * share // 100) - (kind is MAINTENANCE_WINDOW)
        yield from ((kind, number) for number in range(count))


def _spec(kind: Kind[Any], number: int, nodes: int) -> dict[str, Any]:
    if kind is NODE_MAINTENANCE:
        return _maintenance(number, nodes)
    daily = {"cron": f"{number % 60} {number % 24} * * *"}
    if kind is MAINTENANCE_WINDOW:
        return {**daily, "length": "1h"}
    if kind is BACKUP:
        # The first is of everything.
        return {"repository": REPOSITORY, "objects": _SMALL if number else {}}
    # Nothing of a year's last day is due while the bench runs.
    yearly = {"cron": "59 23 31 12 *"}
    if kind is CLUSTER_UPGRADE:
        return {"to": NEWEST}
    if kind is BACKUP_SCHEDULE:
        return {"schedule": yearly, "repository": REPOSITORY, "objects": _SMALL}
    return {"schedule": yearly}


def _maintenance(number: int, nodes: int) -> dict[str, Any]:
    """The first is of all nodes and awaits approval; some work, on the last nodes."""
    if number == 0:
        targets: dict[str, Any] = {"all": "Nodes"}
    elif number % _APPROVED == 1:
        end = nodes - number // _APPROVED * _AT_WORK
        targets = {"names": [f"n-{each}" for each in range(max(1, end - _AT_WORK + 1), end + 1)]}
    else:
        begin = number * _MAINTAINED % max(nodes - _MAINTAINED, 1)
        end = min(begin + _MAINTAINED, nodes)
        targets = {"names": [f"n-{each}" for each in range(begin + 1, end + 1)]}
    return {
        "nodes": targets,
        "action": {"wait": "1s"},
        "approved": number % _APPROVED == 1,
    }
