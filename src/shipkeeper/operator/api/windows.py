"""MaintenanceWindow: when nodes may be begun."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from shipkeeper.model.base import KubeStruct
from shipkeeper.operator.api.conditions import StatusCondition
from shipkeeper.operator.api.fields import Cron, Day, Duration, Zone
from shipkeeper.operator.api.kind import Column, Kind


class MaintenanceWindowSpec(KubeStruct, frozen=True, kw_only=True):
    """When nodes may be begun."""

    cron: Annotated[Cron, Meta(description="When it opens: minute, hour, day, month, weekday.")]
    length: Annotated[Duration, Meta(description="How long it stays open.")]
    time_zone: Annotated[Zone, Meta(description="Whose clock that is.")] = "UTC"
    days_off: Annotated[
        tuple[Day, ...],
        Meta(
            description="Days without maintenance, such as 2026-12-24..2027-01-06.", max_length=100
        ),
    ] = ()


class MaintenanceWindowStatus(KubeStruct, frozen=True, kw_only=True):
    """Whether it is open, and when that changes."""

    observed_generation: Annotated[
        int, Meta(description="The generation of the spec that this is about.")
    ] = 0
    is_open: Annotated[bool | None, Meta(description="Whether nodes may be begun now.")] = None
    opens_at: Annotated[datetime | None, Meta(description="When it opens next.")] = None
    closes_at: Annotated[datetime | None, Meta(description="When it closes, if it is open.")] = None
    conditions: Annotated[tuple[StatusCondition, ...], Meta(description="Accepted and Open.")] = ()


MAINTENANCE_WINDOW = Kind(
    kind="MaintenanceWindow",
    plural="maintenancewindows",
    short=("mw",),
    spec=MaintenanceWindowSpec,
    status=MaintenanceWindowStatus,
    columns=(
        Column("Open", ".status.isOpen", "boolean"),
        Column("Opens", ".status.opensAt"),
        Column("Closes", ".status.closesAt"),
        Column("Cron", ".spec.cron", priority=1),
        Column("Length", ".spec.length", priority=1),
        Column("Zone", ".spec.timeZone", priority=1),
    ),
    text="A time in which maintenance may begin, again and again.",
)
