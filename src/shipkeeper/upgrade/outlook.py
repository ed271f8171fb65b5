"""What a plan of an upgrade foretells, and how far one can go back; pure."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from shipkeeper.engine.plan import Plan, Step
from shipkeeper.upgrade.options import BACKUP_FOLDER

Lines = tuple[str, ...]
SNAPSHOT = "before-upgrade"
_NOTHING_CHANGED = "nothing but packages of kubeadm was changed: shipkeeper upgrade abort"
_BY_SNAPSHOT = (
    "a host whose upgrade fails is put back by kubeadm itself; the cluster only by restoring etcd "
    f"from {BACKUP_FOLDER}/{SNAPSHOT}.db with the manifests of "
    "/etc/kubernetes/tmp/kubeadm-backup-manifests-*, and what was written since is lost"
)
_NO_SNAPSHOT = (
    "a host whose upgrade fails is put back by kubeadm itself, but etcd was not saved, "
    "and kubeadm takes no control plane to an older minor"
)
_OLD_KUBELET = (
    "a drained node takes the packages of its old kubelet back, as long as that may lag behind "
    "the API servers; the control plane stays"
)


class HostCommands(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a step runs on a host, line by line; `minutes` is how long it may take."""

    host: str
    lines: Lines
    minutes: int = 15


class ReturnPoint(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Up to which step one can go back, and how; an empty way is none, and `why` says so."""

    until: str
    way: str = ""
    why: str = ""


class UpgradeOutlook(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a plan foretells: its hops, drains, the proof, the waves, and what runs where."""

    hops: tuple[str, ...]
    drains: int
    states_proven: int
    refutations: tuple[str, ...]
    node_waves: tuple[tuple[str, ...], ...]
    commands: dict[str, HostCommands]
    versions: dict[str, str]
    """The version that a step brings its target to, by the step's id."""
    return_points: tuple[ReturnPoint, ...]


def return_points(steps: Sequence[Step], *, is_managed: bool) -> Iterator[ReturnPoint]:
    """The points of no return of some steps: kubeadm takes no control plane to an older minor."""
    if is_managed:
        yield ReturnPoint(until=steps[0].id if steps else "", why="the provider decides on it")
        return
    applies = [step.id for step in steps if step.action == "control-plane"]
    if applies:
        yield ReturnPoint(until=applies[0], way=_NOTHING_CHANGED)
        has_snapshot = any(step.id.endswith("/snapshot") for step in steps)
        yield ReturnPoint(
            until=applies[-1],
            way=_BY_SNAPSHOT if has_snapshot else "",
            why="" if has_snapshot else _NO_SNAPSHOT,
        )
    kubelets = [step.id for step in steps if step.action == "update"]
    if kubelets:
        yield ReturnPoint(until=kubelets[-1], way=_OLD_KUBELET)


def outlook_of(plan: Plan) -> UpgradeOutlook | None:
    """What the plan of an upgrade foretells; None if it has no steps to tell of."""
    if not plan.outlook:
        return None
    return msgspec.convert(plan.outlook, UpgradeOutlook)


def commands_of(outlook: dict[str, Any], step: str) -> HostCommands:
    """What a step runs on its host."""
    return msgspec.convert(outlook["commands"][step], HostCommands)
