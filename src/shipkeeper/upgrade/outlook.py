"""What a plan of an upgrade foretells, and how far one can go back; pure."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from shipkeeper.engine.plan import Plan, Step

Lines = tuple[str, ...]
_NOTHING_CHANGED = (
    "nothing but packages of kubeadm was changed: shipkeeper upgrade abort puts them back"
)
_BY_SNAPSHOT = (
    "a host whose upgrade fails is put back by kubeadm itself; the cluster only by restoring etcd "
    "from the snapshot, with the manifests of /etc/kubernetes/tmp/kubeadm-backup-manifests-* and "
    "the old packages (docs/upgrade.md tells how), and what was written since is lost"
)
_NO_SNAPSHOT = (
    "a host whose upgrade fails is put back by kubeadm itself, but etcd was not saved, "
    "and kubeadm takes no control plane to an older minor"
)
_OLD_KUBELET = (
    "shipkeeper upgrade abort gives a node that is not back its old kubelet and settings; "
    "the control plane stays, and so do the nodes that are done (docs/upgrade.md tells how to go "
    "further back)"
)


class HostCommands(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a step runs on a host, line by line; `minutes` is how long it may take.

    `undo` is what an abort runs there to take the step back, if it did not come to its effect.
    """

    host: str
    lines: Lines
    minutes: int = 15
    undo: Lines = ()


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
    kubelets = [step.id for step in steps if step.action == "update"]
    order = [step.id for step in steps]
    later = [each for each in kubelets if applies and order.index(each) > order.index(applies[-1])]
    if applies:
        yield ReturnPoint(until=applies[0], way=_NOTHING_CHANGED)
        has_snapshot = any(step.action == "snapshot" for step in steps)
        yield ReturnPoint(
            until=(later or applies[-1:])[0],
            way=_BY_SNAPSHOT if has_snapshot else "",
            why="" if has_snapshot else _NO_SNAPSHOT,
        )
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
