"""AccessReport and CertificateReport: what is looked at, how often, and what was found."""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta

from shipkeeper.model.base import KubeStruct
from shipkeeper.operator.api.conditions import StatusCondition
from shipkeeper.operator.api.fields import Cron, Text, Zone
from shipkeeper.operator.api.kind import Column, Kind
from shipkeeper.operator.api.reference import ObjectRef

FailOn = Annotated[
    Literal["critical", "high", "medium", "low", "never"],
    Meta(description="From which severity on it is not clean."),
]


class ReportSchedule(KubeStruct, frozen=True, kw_only=True):
    """When to look; what was missed is made up for once."""

    cron: Annotated[Cron, Meta(description="Minute, hour, day, month, weekday.")]
    time_zone: Annotated[Zone, Meta(description="Whose clock that is.")] = "UTC"


class AccessReportSpec(KubeStruct, frozen=True, kw_only=True):
    """How often access is audited, as `shipkeeper access audit` does it."""

    schedule: Annotated[ReportSchedule, Meta(description="When to look.")]
    include_system: Annotated[bool, Meta(description="Also what Kubernetes grants itself.")] = False
    fail_on: FailOn = "high"
    suspend: Annotated[bool, Meta(description="Look no more for now.")] = False


class CertificateReportSpec(KubeStruct, frozen=True, kw_only=True):
    """How often certificates are checked, as `shipkeeper certs check` does it."""

    schedule: Annotated[ReportSchedule, Meta(description="When to look.")]
    horizon_days: Annotated[
        Annotated[int, Meta(ge=1, le=3650)],
        Meta(description="For how many days certificates must last."),
    ] = 30
    fail_on: FailOn = "medium"
    suspend: Annotated[bool, Meta(description="Look no more for now.")] = False


class FindingCount(KubeStruct, frozen=True, kw_only=True, omit_defaults=False):
    """How many findings there are of each severity, and what was not looked at."""

    critical: Annotated[int, Meta(description="Findings of severity critical.")] = 0
    high: Annotated[int, Meta(description="Findings of severity high.")] = 0
    medium: Annotated[int, Meta(description="Findings of severity medium.")] = 0
    low: Annotated[int, Meta(description="Findings of severity low.")] = 0
    unchecked: Annotated[int, Meta(description="What may not be read, or did not answer.")] = 0


class FoundThing(KubeStruct, frozen=True, kw_only=True):
    """One finding."""

    rule: Annotated[str, Meta(description="The rule that found it.")]
    severity: Annotated[str, Meta(description="critical, high, medium or low.")]
    target: Annotated[str, Meta(description="What it is about.")] = ""
    message: Annotated[Text, Meta(description="What is wrong.")] = ""
    remedy: Annotated[Text, Meta(description="What helps.")] = ""


class ReportStatus(KubeStruct, frozen=True, kw_only=True):
    """What was found at the last look."""

    observed_generation: Annotated[
        int, Meta(description="The generation of the spec that this is about.")
    ] = 0
    phase: Annotated[
        str, Meta(description="Pending, Clean, Incomplete, Findings, Failed or Suspended.")
    ] = ""
    message: Annotated[str, Meta(description="The same in a sentence.")] = ""
    found: Annotated[FindingCount, Meta(description="How much was found.")] = FindingCount()
    worst: Annotated[
        tuple[FoundThing, ...], Meta(description="The worst findings, the first of them.")
    ] = ()
    report_in: Annotated[
        ObjectRef | None, Meta(description="The ConfigMap with the whole report.")
    ] = None
    checked_at: Annotated[datetime | None, Meta(description="When the last look was.")] = None
    next_at: Annotated[datetime | None, Meta(description="When the next look is.")] = None
    conditions: Annotated[
        tuple[StatusCondition, ...], Meta(description="Accepted, Checked and Clean.")
    ] = ()


_COLUMNS = (
    Column("Phase", ".status.phase"),
    Column("Critical", ".status.found.critical", "integer"),
    Column("High", ".status.found.high", "integer"),
    Column("Medium", ".status.found.medium", "integer"),
    Column("Unchecked", ".status.found.unchecked", "integer", priority=1),
    Column("Checked", ".status.checkedAt", "date"),
    Column("Message", ".status.message", priority=1),
)
ACCESS_REPORT = Kind(
    kind="AccessReport",
    plural="accessreports",
    short=("ar",),
    spec=AccessReportSpec,
    status=ReportStatus,
    columns=_COLUMNS,
    text="Who may do what, looked at again and again: ways to more power, controls, disorder.",
)
CERTIFICATE_REPORT = Kind(
    kind="CertificateReport",
    plural="certificatereports",
    short=("certr",),
    spec=CertificateReportSpec,
    status=ReportStatus,
    columns=_COLUMNS,
    text="The cluster's certificates, looked at again and again: what ends, and what is wrong.",
)
