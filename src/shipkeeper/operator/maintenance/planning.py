"""What a NodeMaintenance asks for, planned on the cluster as it is."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from shipkeeper.engine.plan import Plan
from shipkeeper.errors import ShipkeeperError, UsageError
from shipkeeper.kube.reader import Reader
from shipkeeper.nodes.options import MaintenanceOptions
from shipkeeper.nodes.procedure import prepare
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.api.maintenance import NodeMaintenanceSpec
from shipkeeper.operator.api.windows import MaintenanceWindowSpec
from shipkeeper.operator.maintenance.options import options_of, targets_of
from shipkeeper.operator.maintenance.standing import blockers_of
from shipkeeper.operator.packing import packed, unpacked
from shipkeeper.operator.scene import Scene


class NothingCanBeDoneError(ShipkeeperError):
    """Nothing of what is asked for can be done now; the world may change."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message, reason=reason)


async def plan_maintenance(
    scene: Scene,
    spec: NodeMaintenanceSpec,
    windows: Mapping[str, MaintenanceWindowSpec],
    asked: float,
) -> tuple[int, Plan]:
    """How many nodes are meant, and the plan for them; the operator's own node goes last.

    The cluster is as it was at the moment `asked` of the loop's clock, or later. UsageError for
    nonsense, NothingCanBeDoneError if there is no step.
    """
    names, selector = targets_of(spec)
    own = (scene.node,) if scene.node else ()
    options = options_of(spec, windows, own)
    async with scene.sight.of(Reader(scene.connection), asked) as whole:
        # Packed: nothing is kept of what it was made from.
        state, plan = await prepare(scene.connection, names, selector, options, whole)
        count, text = len(state.nodes), await asyncio.to_thread(packed, plan)
        del whole, state, plan
    if not count:
        raise NothingCanBeDoneError("NoNodes", "no node is selected")
    plan = unpacked(text)
    if not plan.steps:
        raise NothingCanBeDoneError(*blockers_of(plan.verdicts))
    return count, plan


def asks_for_more(spec: NodeMaintenanceSpec, planned: Plan) -> bool:
    """Whether a spec asks for something else than what was planned.

    Windows are read when it is planned, and may be others now, or gone: their number alone counts.
    """
    windowless = msgspec.structs.replace(spec, windows=())
    try:
        # Options that did not exist when it was planned have the value that means as before.
        known = msgspec.convert(planned.request["options"], MaintenanceOptions)
        asked = options_of(windowless, {}, known.order.last)
    except msgspec.ValidationError:
        return False  # Of another version: carrying it out tells that.
    except UsageError:
        return True
    is_else = asked != msgspec.structs.replace(known, windows=asked.windows)
    return is_else or len(spec.windows) != len(known.windows.windows)


def window_specs(windows: Mapping[str, CustomObject]) -> dict[str, MaintenanceWindowSpec]:
    """The specs of MaintenanceWindows by name, but for those that make no sense."""
    found: dict[str, MaintenanceWindowSpec] = {}
    for each in windows.values():
        with suppress(msgspec.DecodeError):
            found[each.name] = msgspec.json.decode(each.spec, type=MaintenanceWindowSpec)
    return found
