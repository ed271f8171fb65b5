"""Reconciling MaintenanceWindows: whether each is open, and when that changes."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from shipkeeper.errors import UsageError
from shipkeeper.model.base import KubeStruct
from shipkeeper.nodes.windows import parse_windows
from shipkeeper.operator.api.conditions import StatusCondition, settled
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.api.windows import (
    MAINTENANCE_WINDOW,
    MaintenanceWindowSpec,
    MaintenanceWindowStatus,
)
from shipkeeper.operator.maintenance.options import window_text
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.status import write_status

_KIND = MAINTENANCE_WINDOW
_A_DAY = timedelta(days=1)


class _Planned(KubeStruct, frozen=True, kw_only=True):
    """The windows of a spec that is planned with some."""

    windows: tuple[str, ...] = ()


def plans_with(found: CustomObject, window: str) -> bool:
    """Whether an object is planned with a window; nonsense is looked at once it is mended."""
    try:
        return window in msgspec.json.decode(found.spec, type=_Planned).windows
    except msgspec.DecodeError:
        return False


class WindowReconciler:
    """Reconciles MaintenanceWindows; `changed` is told of one that is not as it was."""

    def __init__(self, scene: Scene, changed: Callable[[str], None]) -> None:
        self._scene = scene
        self._changed = changed
        self._known: dict[str, tuple[str, int, bool | None]] = {}

    async def stop(self) -> None:
        """Nothing goes on beside."""

    async def reconcile(self, key: str, found: CustomObject | None) -> timedelta | None:
        """Tell whether a window is open, and look again when that changes."""
        if found is None or found.metadata.deletion_timestamp is not None:
            self._known.pop(key, None)
            self._changed(key)
            return None
        before = msgspec.json.decode(found.status, type=MaintenanceWindowStatus)
        now = datetime.now(UTC)
        status = judge(found, before, now)
        self._note(found, status)
        await write_status(self._scene.writer, _KIND, found, status)
        changes = [each for each in (status.opens_at, status.closes_at) if each and each > now]
        # Clocks are set, and a year is long for a timer.
        return min((*(each - now for each in changes), _A_DAY))

    def _note(self, found: CustomObject, status: MaintenanceWindowStatus) -> None:
        """Tell that a window is not as it was; a status that is written comes back by the watch."""
        now = (found.uid, found.metadata.generation, status.is_open)
        if self._known.get(found.key) != now:
            self._known[found.key] = now
            self._changed(found.key)


def judge(
    found: CustomObject, before: MaintenanceWindowStatus, now: datetime
) -> MaintenanceWindowStatus:
    """The status of a window at a moment. Pure."""
    generation = found.metadata.generation
    try:
        spec = msgspec.json.decode(found.spec, type=MaintenanceWindowSpec)
        windows = parse_windows((window_text(spec),), spec.days_off)
    except (UsageError, msgspec.DecodeError) as error:
        reason = error.reason if isinstance(error, UsageError) else "Malformed"
        refused = StatusCondition(
            type="Accepted", status="False", reason=reason, message=str(error)
        )
        return MaintenanceWindowStatus(
            observed_generation=generation,
            conditions=settled(before.conditions, (refused,), generation, now),
        )
    is_open = windows.is_open(now)
    closes = windows.closes(now) if is_open else None
    opens = windows.opens_next(closes or now) if closes or not is_open else None
    conditions = (
        StatusCondition(type="Accepted", status="True", reason="Valid"),
        StatusCondition(
            type="Open",
            status="True" if is_open else "False",
            reason="Open" if is_open else "Closed",
        ),
    )
    return MaintenanceWindowStatus(
        observed_generation=generation,
        is_open=is_open,
        opens_at=opens,
        closes_at=closes,
        conditions=settled(before.conditions, conditions, generation, now),
    )
