"""Restore: what of a backup comes back and how, and what is told of it."""

from datetime import datetime
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from shipkeeper.model.base import KubeStruct
from shipkeeper.operator.api.conditions import StatusCondition
from shipkeeper.operator.api.contents import JobLimits, Objects, RestoreVolumes
from shipkeeper.operator.api.fields import Name, Rule, unchanged
from shipkeeper.operator.api.kind import Column, Kind
from shipkeeper.operator.api.reference import ObjectRef

BackupId = Annotated[
    str,
    Meta(
        pattern=r"^(latest|[0-9a-f]{1,32})$",
        max_length=32,
        extra={"says": "must be latest, or the id of a backup (status.id of its Backup)"},
    ),
]


class RestoreSpec(KubeStruct, frozen=True, kw_only=True):
    """What comes back, and how, as the flags of `shipkeeper backup restore` say it.

    What was planned is done: once there is a plan, only approved and job's limits are heeded.
    """

    RULES: ClassVar = (
        Rule(
            "!has(self.volumes) || has(self.job)",
            "volumes are brought back by a Job: job must be given beside volumes, if only as {}",
        ),
    )

    repository: Annotated[Name, Meta(description="The BackupRepository; with an identitySecret.")]
    backup: Annotated[
        BackupId, Meta(description="The backup's id, the beginning of it, or latest.")
    ]
    objects: Annotated[Objects, Meta(description="Which objects; else everything.")] = Objects()
    existing: Annotated[
        Literal["skip", "update", "recreate"],
        Meta(
            description="What is there and differs: leave it, update it, or also delete and make "
            "again what cannot be updated."
        ),
    ] = "skip"
    namespace_map: Annotated[
        dict[str, str], Meta(description="Old to new: namespaces under other names.")
    ] = {}
    storage_class_map: Annotated[
        dict[str, str], Meta(description="Old to new: storage classes of volume claims.")
    ] = {}
    image_map: Annotated[
        dict[str, str], Meta(description="Old to new: beginnings of names of images.")
    ] = {}
    prune: Annotated[
        bool, Meta(description="Delete what is chosen and not in the backup; the plan names it.")
    ] = False
    scale_to_zero: Annotated[
        bool, Meta(description="Workloads come back without replicas, jobs suspended.")
    ] = False
    keep_webhooks: Annotated[
        bool, Meta(description="Do not quiet webhooks that fail closed without a backend.")
    ] = False
    volumes: Annotated[
        RestoreVolumes | None,
        Meta(description="Bring volumes back, too, by the Job; else they stay as they are."),
    ] = None
    job: Annotated[
        JobLimits | None,
        Meta(
            description="Plan it and carry it out in Jobs, and not in the operator's process. The "
            "limits may be changed at any time, and count for the next Job."
        ),
    ] = None
    approved: Annotated[
        bool, Meta(description="The plan was seen: do it. Nothing is written before.")
    ] = False


class RestoreCount(KubeStruct, frozen=True, kw_only=True, omit_defaults=False):
    """How many objects, by what becomes of them."""

    create: Annotated[int, Meta(description="Not there: they are created.")] = 0
    update: Annotated[int, Meta(description="There, and another: they are changed.")] = 0
    recreate: Annotated[
        int, Meta(description="There, and cannot be changed: they are deleted and created.")
    ] = 0
    delete: Annotated[int, Meta(description="Not in the backup: they are deleted (prune).")] = 0
    skip: Annotated[
        int, Meta(description="There, or not to be restored: they are left as they are.")
    ] = 0
    refuse: Annotated[int, Meta(description="They cannot be restored: the plan says why.")] = 0


class RestoreStatus(KubeStruct, frozen=True, kw_only=True):
    """How a restore stands."""

    observed_generation: Annotated[
        int, Meta(description="The generation of the spec that this is about.")
    ] = 0
    phase: Annotated[
        str,
        Meta(
            description="Pending, AwaitingApproval, Waiting, Running, Stopping, Succeeded, "
            "Incomplete, Blocked, Failed or Aborted."
        ),
    ] = ""
    message: Annotated[str, Meta(description="The same in a sentence.")] = ""
    run: Annotated[str, Meta(description="The run that carries it out.")] = ""
    backup: Annotated[str, Meta(description="The id of the backup.")] = ""
    counts: Annotated[RestoreCount, Meta(description="What becomes of how many objects.")] = (
        RestoreCount()
    )
    done: Annotated[int, Meta(description="How many were written, or found to be there.")] = 0
    plan: Annotated[
        str, Meta(description="The plan as `shipkeeper backup restore --dry-run` prints it.")
    ] = ""
    plan_in: Annotated[
        tuple[ObjectRef, ...], Meta(description="The ConfigMaps with a plan too large for here.")
    ] = ()
    journal: Annotated[
        ObjectRef | None, Meta(description="The ConfigMap in which the run's journal begins.")
    ] = None
    job: Annotated[
        str, Meta(description="The Job that works on it now, in the operator's namespace.")
    ] = ""
    job_generation: Annotated[
        int, Meta(description="The generation of the spec that the last Job was begun for.")
    ] = 0
    attempts: Annotated[int, Meta(description="How many Jobs were begun for it.")] = 0
    retry_at: Annotated[datetime | None, Meta(description="When the next Job is begun.")] = None
    started_at: Annotated[
        datetime | None, Meta(description="When the first was begun; nothing was written before.")
    ] = None
    finished_at: Annotated[datetime | None, Meta(description="When it ended.")] = None
    conditions: Annotated[
        tuple[StatusCondition, ...],
        Meta(description="Accepted, Planned, Progressing and Succeeded."),
    ] = ()


# What a plan was made from; only `approved`, and limits, may change once there is one.
_PLANNED = (
    *("repository", "backup", "objects", "existing", "namespaceMap", "storageClassMap"),
    *("imageMap", "prune", "scaleToZero", "keepWebhooks", "volumes"),
)

RESTORE = Kind(
    kind="Restore",
    plural="restores",
    short=("rst",),
    spec=RestoreSpec,
    status=RestoreStatus,
    columns=(
        Column("Phase", ".status.phase"),
        Column("Create", ".status.counts.create", "integer"),
        Column("Update", ".status.counts.update", "integer"),
        Column("Refuse", ".status.counts.refuse", "integer"),
        Column("Done", ".status.done", "integer"),
        Column("Backup", ".status.backup"),
        Column("Message", ".status.message", priority=1),
    ),
    rules=(
        Rule(
            "!has(oldSelf.status) || !has(oldSelf.status.run) || oldSelf.status.run == '' || "
            f"({unchanged(*(f'self.spec.{each}' for each in _PLANNED))} && "
            "has(self.spec.job) == has(oldSelf.spec.job))",
            "what was planned is done: once there is a plan only spec.approved may change, and "
            "the limits in spec.job; delete it and create another Restore",
        ),
    ),
    text="Objects of a backup brought back, by a plan that is approved first.",
)
