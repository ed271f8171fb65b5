"""What a ClusterUpgrade asks for, as the options that the planner of upgrades takes. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from shipkeeper.engine.plan import Plan
from shipkeeper.errors import UsageError
from shipkeeper.model.version import Version
from shipkeeper.nodes.options import MaintenanceOptions, SshAccess
from shipkeeper.nodes.orders import Order
from shipkeeper.operator.api.maintenance import Action, NodeMaintenanceSpec, Targets, WaitFor
from shipkeeper.operator.api.upgrades import ByProvider, ClusterUpgradeSpec
from shipkeeper.operator.api.windows import MaintenanceWindowSpec
from shipkeeper.operator.maintenance.options import options_of as maintenance_options
from shipkeeper.upgrade.options import UpgradeOptions
from shipkeeper.upgrade.options import options_of as planned_options
from shipkeeper.upgrade.target import target_version


def options_of(
    spec: ClusterUpgradeSpec, windows: Mapping[str, MaintenanceWindowSpec], last: Sequence[str]
) -> UpgradeOptions:
    """The options; `last` are the nodes that go after all others. UsageError for nonsense.

    What nobody else does is planned as `shipkeeper upgrade run` does it, over SSH.
    """
    if spec.approved_plan is not None and spec.wait is None:
        raise UsageError(
            "spec.approvedPlan is for upgrades that somebody else does (spec.wait)",
            reason="NotByProvider",
            hint="the operator has no keys of hosts: carry it out with shipkeeper upgrade run",
        )
    nodes = _nodes(spec, windows, last)
    if spec.wait is None:
        nodes = msgspec.structs.replace(nodes, wait_for=(), ssh=SshAccess())
    return UpgradeOptions(
        target=str(target_version(spec.to)),
        via=tuple(str(Version.parse(each)) for each in spec.via),
        goes_without_backup=spec.no_backup,
        nodes=nodes,
    )


def without_last(options: UpgradeOptions) -> UpgradeOptions:
    """The same, wherever the operator itself runs: with each leader another node goes last."""
    order = msgspec.structs.replace(options.nodes.order, last=Order().last)
    nodes = msgspec.structs.replace(options.nodes, order=order)
    return msgspec.structs.replace(options, nodes=nodes)


def asks_for_else(spec: ClusterUpgradeSpec, planned: Plan) -> bool:
    """Whether a spec asks for something else than was planned, and approved.

    Windows are read when it is planned, and may be others now, or gone: their number alone counts.
    """
    windowless = msgspec.structs.replace(spec, windows=())
    try:
        known = planned_options(planned.request)
        asked = options_of(windowless, {}, known.nodes.order.last)
    except msgspec.ValidationError:
        return False  # Of another version: carrying it out tells that.
    except UsageError:
        return True
    nodes = msgspec.structs.replace(known.nodes, windows=asked.nodes.windows)
    # A minor is the latest patch that was known to whoever planned.
    is_target_else = not _means(spec.to, known.target)
    asked = msgspec.structs.replace(asked, target=known.target)
    is_else = asked != msgspec.structs.replace(known, nodes=nodes)
    return is_target_else or is_else or len(spec.windows) != len(known.nodes.windows.windows)


def _means(text: str, version: str) -> bool:
    """Whether a version is one that a spec's target may have meant."""
    bare, known = text.strip().removeprefix("v"), version.removeprefix("v")
    return known == bare or (bare.count(".") == 1 and known.startswith(f"{bare}."))


def _nodes(
    spec: ClusterUpgradeSpec, windows: Mapping[str, MaintenanceWindowSpec], last: Sequence[str]
) -> MaintenanceOptions:
    """Its nodes are those of a maintenance of all nodes, which waits for other kubelets."""
    limit = (spec.wait or ByProvider()).limit
    as_maintenance = NodeMaintenanceSpec(
        nodes=Targets(all="Nodes"),
        action=Action(wait_for=WaitFor(seen=("kubelet",), limit=limit)),
        drain=spec.drain,
        pace=spec.pace,
        order=spec.order,
        gates=spec.gates,
        volumes=spec.volumes,
        windows=spec.windows,
        ready_timeout=spec.ready_timeout,
    )
    return maintenance_options(as_maintenance, windows, last)
