"""BackupRepository, Backup and BackupSchedule: what is kept where, and what is told of it."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from shipkeeper.model.base import KubeStruct
from shipkeeper.operator.api.conditions import StatusCondition
from shipkeeper.operator.api.contents import BackupVolumes, Job, JobLimits, Objects, Volumes
from shipkeeper.operator.api.fields import (
    Cron,
    Duration,
    Name,
    Rule,
    Text,
    Url,
    Zone,
    unchanged,
)
from shipkeeper.operator.api.kind import Column, Kind

Place = Annotated[
    str,
    Meta(
        pattern=r"^(s3|gs|az)://[^\s/?#@]+(/[^\s?#]*)?$|^(file://)?/[^\s?#]+$",
        max_length=1024,
        extra={"says": "must be s3://bucket/prefix, gs://…, az://… or the path of a folder"},
    ),
]
Keep = Annotated[int, Meta(ge=0, le=100_000)]


class SecretRef(KubeStruct, frozen=True, kw_only=True):
    """A Secret in the operator's namespace."""

    name: Annotated[Name, Meta(description="Its name.")]


class BackupRepositorySpec(KubeStruct, frozen=True, kw_only=True):
    """Where backups are kept, and the Secrets that open it."""

    url: Annotated[
        Place, Meta(description="s3://bucket/prefix, gs://…, az://…, or a folder in every replica.")
    ]
    endpoint: Annotated[
        Url | None, Meta(description="The object store's URL, if not the vendor's.")
    ] = None
    key_secret: Annotated[
        SecretRef,
        Meta(description="The writer's key, as writer.key: adds backups, cannot read them."),
    ]
    identity_secret: Annotated[
        SecretRef | None,
        Meta(
            description="The age identity that reads backups, as reader.age, and its passphrase if "
            "it has one. Only for Restores and for checks of every object."
        ),
    ] = None
    store_secret: Annotated[
        SecretRef | None,
        Meta(description="The object store's variables: AWS_ACCESS_KEY_ID and its like."),
    ] = None


class NewestBackup(KubeStruct, frozen=True, kw_only=True):
    """A backup that is kept, in short."""

    id: Annotated[str, Meta(description="Its name in the repository.")]
    created_at: Annotated[datetime, Meta(description="When it was made, by the store's clock.")]
    complete: Annotated[bool, Meta(description="Whether it lacks nothing.")] = False


class BackupRepositoryStatus(KubeStruct, frozen=True, kw_only=True):
    """How a repository was found at the last look."""

    observed_generation: Annotated[
        int, Meta(description="The generation of the spec that this is about.")
    ] = 0
    phase: Annotated[str, Meta(description="Ready or Failed.")] = ""
    message: Annotated[str, Meta(description="The same in a sentence.")] = ""
    id: Annotated[str, Meta(description="What tells it from all other repositories.")] = ""
    format: Annotated[int, Meta(description="The version of its format.")] = 0
    recipients: Annotated[
        tuple[str, ...], Meta(description="Whose identities read its backups (age).")
    ] = ()
    backups: Annotated[int, Meta(description="How many backups it holds.")] = 0
    newest: Annotated[NewestBackup | None, Meta(description="The newest of them.")] = None
    checked_at: Annotated[datetime | None, Meta(description="When the last look was.")] = None
    conditions: Annotated[
        tuple[StatusCondition, ...], Meta(description="Accepted and Reachable.")
    ] = ()


BACKUP_REPOSITORY = Kind(
    kind="BackupRepository",
    plural="backuprepositories",
    short=("br",),
    spec=BackupRepositorySpec,
    status=BackupRepositoryStatus,
    columns=(
        Column("Phase", ".status.phase"),
        Column("Backups", ".status.backups", "integer"),
        Column("Newest", ".status.newest.createdAt", "date"),
        Column("URL", ".spec.url"),
        Column("Format", ".status.format", "integer", priority=1),
        Column("Message", ".status.message", priority=1),
    ),
    text="A place where backups are kept, encrypted and deduplicated, and the keys to it.",
)


DeletionPolicy = Annotated[
    Literal["Retain", "Delete"],
    Meta(
        description="What becomes of the stored backup when this object is deleted. Delete: it is "
        "forgotten, and its bytes go with the next prunes."
    ),
]
Retries = Annotated[int, Meta(ge=0, le=20)]


class BackupSpec(KubeStruct, frozen=True, kw_only=True):
    """One backup, made once; only deletionPolicy is heeded when it is changed later."""

    RULES: ClassVar = (
        Rule(
            "self.repository == oldSelf.repository",
            "a backup is made once: repository must stay as it is; create another Backup",
        ),
        Rule(
            unchanged("self.objects"),
            "a backup is made once: objects must stay as they are; create another Backup",
        ),
        Rule(
            unchanged("self.volumes", "self.job"),
            "a backup is made once: volumes and job must stay as they are; create another Backup",
        ),
    )

    repository: Annotated[Name, Meta(description="The BackupRepository that takes it.")]
    objects: Annotated[Objects, Meta(description="Which objects; else everything.")] = Objects()
    volumes: Volumes = None
    job: Job = None
    deletion_policy: DeletionPolicy = "Retain"
    retries: Annotated[
        Retries, Meta(description="How often it is tried again if it fails, or is cut short.")
    ] = 3

    @property
    def is_in_job(self) -> bool:
        """Whether a Job makes it: what volumes take is more than the operator may take."""
        return self.job is not None or self.volumes is not None


class MissingPart(KubeStruct, frozen=True, kw_only=True):
    """A part that could not be read."""

    what: Annotated[str, Meta(description="A kind, or an API group's version.")]
    reason: Annotated[str, Meta(description="Why, in one CamelCase word.")] = ""
    message: Annotated[Text, Meta(description="Why, in a sentence.")] = ""


class BegunWith(KubeStruct, frozen=True, kw_only=True):
    """What a backup was begun with, which it stays with whatever the spec says later."""

    repository: Annotated[str, Meta(description="The BackupRepository.")] = ""
    repository_id: Annotated[
        str, Meta(description="What tells the repository from all others (its status.id).")
    ] = ""
    objects: Annotated[Objects, Meta(description="Which objects.")] = Objects()
    volumes: Annotated[BackupVolumes | None, Meta(description="Which volumes.")] = None
    job: Annotated[JobLimits | None, Meta(description="Its Job.")] = None


class BackupStatus(KubeStruct, frozen=True, kw_only=True):
    """How a backup stands."""

    observed_generation: Annotated[
        int, Meta(description="The generation of the spec that this is about.")
    ] = 0
    phase: Annotated[
        str, Meta(description="Waiting, Running, Completed, Incomplete or Failed.")
    ] = ""
    message: Annotated[str, Meta(description="The same in a sentence.")] = ""
    id: Annotated[
        str,
        Meta(description="Its name in the repository, as `shipkeeper backup show` takes it."),
    ] = ""
    attempts: Annotated[int, Meta(description="How often it was begun.")] = 0
    begun_with: Annotated[
        BegunWith | None, Meta(description="What it was first begun with, and stays with.")
    ] = None
    objects: Annotated[int, Meta(description="How many objects it holds so far.")] = 0
    content_bytes: Annotated[int, Meta(description="Their bytes.")] = 0
    volumes: Annotated[int, Meta(description="How many volumes were saved.")] = 0
    job: Annotated[
        str, Meta(description="The Job of the last attempt, in the operator's namespace.")
    ] = ""
    added_bytes: Annotated[int, Meta(description="The bytes that the repository grew by.")] = 0
    revision: Annotated[str, Meta(description="The revision of etcd that its objects are of.")] = ""
    missing: Annotated[
        tuple[MissingPart, ...], Meta(description="What could not be read; the first of it.")
    ] = ()
    missing_count: Annotated[int, Meta(description="How much could not be read.")] = 0
    started_at: Annotated[datetime | None, Meta(description="When it was first begun.")] = None
    finished_at: Annotated[
        datetime | None, Meta(description="When it became visible, or was given up.")
    ] = None
    retry_at: Annotated[datetime | None, Meta(description="When it is tried again.")] = None
    conditions: Annotated[
        tuple[StatusCondition, ...], Meta(description="Accepted, Progressing and Succeeded.")
    ] = ()


BACKUP = Kind(
    kind="Backup",
    plural="backups",
    short=("bk",),
    spec=BackupSpec,
    status=BackupStatus,
    columns=(
        Column("Phase", ".status.phase"),
        Column("Objects", ".status.objects", "integer"),
        Column("Added", ".status.addedBytes", "integer"),
        Column("Missing", ".status.missingCount", "integer"),
        Column("ID", ".status.id"),
        Column("Repository", ".spec.repository"),
        Column("Message", ".status.message", priority=1),
    ),
    text="One backup: every kind that is chosen, all of one moment.",
)


class BackupTimes(KubeStruct, frozen=True, kw_only=True):
    """Times by a cron expression."""

    cron: Annotated[Cron, Meta(description="Minute, hour, day, month, weekday.")]
    time_zone: Annotated[Zone, Meta(description="Whose clock that is.")] = "UTC"


class Retention(KubeStruct, frozen=True, kw_only=True):
    """What is kept: a backup stays that any of them keeps.

    It is the repository's: every backup in it counts, whoever made it.
    """

    RULES: ClassVar = (
        Rule(
            "has(self.within) || [has(self.last) ? self.last : 0, "
            "has(self.hourly) ? self.hourly : 0, has(self.daily) ? self.daily : 0, "
            "has(self.weekly) ? self.weekly : 0, has(self.monthly) ? self.monthly : 0, "
            "has(self.yearly) ? self.yearly : 0].exists(x, x > 0)",
            "must keep something: give at least one of last, hourly, daily, weekly, monthly, "
            "yearly and within",
        ),
    )

    last: Annotated[Keep, Meta(description="The newest so many.")] = 0
    hourly: Annotated[Keep, Meta(description="The last of an hour, for so many hours.")] = 0
    daily: Annotated[Keep, Meta(description="The last of a day, for so many days.")] = 0
    weekly: Annotated[Keep, Meta(description="The last of a week, for so many weeks.")] = 0
    monthly: Annotated[Keep, Meta(description="The last of a month, for so many months.")] = 0
    yearly: Annotated[Keep, Meta(description="The last of a year, for so many years.")] = 0
    within: Annotated[
        Duration | None, Meta(description="All at most so much older than the newest.")
    ] = None


class BackupScheduleSpec(KubeStruct, frozen=True, kw_only=True):
    """When backups are made, of what, and which are kept."""

    schedule: Annotated[BackupTimes, Meta(description="When a Backup is created.")]
    repository: Annotated[Name, Meta(description="The BackupRepository that takes them.")]
    objects: Annotated[Objects, Meta(description="Which objects; else everything.")] = Objects()
    volumes: Volumes = None
    job: Job = None
    missed: Annotated[
        Literal["run", "skip"],
        Meta(description="Times that nobody watched: one backup for all of them, or none."),
    ] = "run"
    concurrency_policy: Annotated[
        Literal["Forbid"],
        Meta(description="Forbid: while its last backup goes on, a time passes without another."),
    ] = "Forbid"
    jitter: Annotated[
        Duration,
        Meta(description="Up to so much later, always the same for one schedule."),
    ] = "0"
    retries: Annotated[
        Retries, Meta(description="How often a backup is tried again if it fails.")
    ] = 3
    keep: Annotated[
        Retention | None, Meta(description="What is kept after each complete backup; else all.")
    ] = None
    verify: Annotated[
        BackupTimes | None, Meta(description="When the whole repository is read and checked.")
    ] = None
    suspend: Annotated[bool, Meta(description="Make no backups, and check none, for now.")] = False


class Verified(KubeStruct, frozen=True, kw_only=True):
    """The last check of the repository."""

    at: Annotated[datetime, Meta(description="When it began.")]
    depth: Annotated[
        str, Meta(description="content: every object was decrypted; structure: none was.")
    ] = ""
    findings: Annotated[int, Meta(description="How much was found that harms a backup.")] = 0
    message: Annotated[Text, Meta(description="The first of it.")] = ""


class BackupScheduleStatus(KubeStruct, frozen=True, kw_only=True):
    """How a schedule stands."""

    observed_generation: Annotated[
        int, Meta(description="The generation of the spec that this is about.")
    ] = 0
    phase: Annotated[str, Meta(description="Active, Failing or Suspended.")] = ""
    message: Annotated[str, Meta(description="The same in a sentence.")] = ""
    last_schedule_at: Annotated[
        datetime | None, Meta(description="The last time that was heeded.")
    ] = None
    last_backup: Annotated[str, Meta(description="The last Backup that it created.")] = ""
    last_success_at: Annotated[
        datetime | None, Meta(description="When its last complete backup was made.")
    ] = None
    times_without_success: Annotated[
        int, Meta(description="How many of its times in a row passed without a complete backup.")
    ] = 0
    pruned_after: Annotated[
        str, Meta(description="The Backup after which the repository was last pruned.")
    ] = ""
    forgotten: Annotated[int, Meta(description="How many backups were let go of then.")] = 0
    verified: Annotated[Verified | None, Meta(description="The last check.")] = None
    next_at: Annotated[datetime | None, Meta(description="When the next backup is made.")] = None
    conditions: Annotated[
        tuple[StatusCondition, ...],
        Meta(description="Accepted, Succeeding, Pruned and Verified."),
    ] = ()


BACKUP_SCHEDULE = Kind(
    kind="BackupSchedule",
    plural="backupschedules",
    short=("bs",),
    spec=BackupScheduleSpec,
    status=BackupScheduleStatus,
    columns=(
        Column("Phase", ".status.phase"),
        Column("Schedule", ".spec.schedule.cron"),
        Column("Zone", ".spec.schedule.timeZone", priority=1),
        Column("Last success", ".status.lastSuccessAt", "date"),
        Column("Next", ".status.nextAt"),
        Column("Repository", ".spec.repository"),
        Column("Message", ".status.message", priority=1),
    ),
    text="Backups again and again: when, of what, which are kept, and when all are checked.",
)
BACKUP_KINDS: tuple[Kind[Any], ...] = (BACKUP_REPOSITORY, BACKUP, BACKUP_SCHEDULE)
