"""Flags of `shipkeeper backup schedule`: how times are kept, and what is written for others."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from shipkeeper.backup.schedule import Schedule
from shipkeeper.model.cron import parse_schedule
from shipkeeper.model.duration import parse_duration

_TIMES = Group("When", sort_key=0)
_EMIT = Group("For a cluster or a timer to run it", sort_key=4)


@Parameter(name="*", group=_TIMES)
@dataclass(frozen=True, kw_only=True)
class TimeFlags:
    """How the times of a schedule are kept, and what is done beside the backup."""

    jitter: Annotated[str, Parameter(help="Begin up to so much later, at random (5m).")] = "0"
    missed: Annotated[
        Literal["run", "skip"],
        Parameter(help="What becomes of a time that was slept through: one backup, or none."),
    ] = "run"
    retries: Annotated[
        int, Parameter(help="How often a backup that failed is tried again before the next time.")
    ] = 3
    verify_every: Annotated[
        int, Parameter(help="Verify the repository after each so many complete backups.")
    ] = 0
    grace: Annotated[
        str, Parameter(help="How long bytes that no backup needs stay for writers at work.")
    ] = "24h"

    def schedule(self, expression: str, zone: str) -> Schedule:
        """The schedule; UsageError that says what is wrong with it."""
        return Schedule(
            cron=parse_schedule(expression, zone),
            jitter=parse_duration(self.jitter),
            missed=self.missed,
            retries=self.retries,
            verify_every=self.verify_every,
        )


PUNCTUALLY = TimeFlags()


@Parameter(name="*", group=_EMIT)
@dataclass(frozen=True, kw_only=True)
class EmitFlags:
    """What is printed instead of being followed, and the names in it."""

    emit: Annotated[
        Literal["cronjob", "systemd"] | None,
        Parameter(help="Print manifests for a cluster, or units of systemd, that follow it."),
    ] = None
    image: Annotated[str, Parameter(help="The image with shipkeeper in it.")] = ""
    kubernetes_version: Annotated[
        str, Parameter(help="The cluster's version (1.37); without, the cluster is asked.")
    ] = ""
    emit_name: Annotated[str, Parameter(help="The name of the CronJob or the units.")] = (
        "shipkeeper-backup"
    )
    emit_namespace: Annotated[str, Parameter(help="The CronJob's namespace.")] = "shipkeeper"
    key_secret: Annotated[
        str, Parameter(help="The Secret with the writer's key, as writer.key.")
    ] = "shipkeeper-backup-key"  # noqa: S105 - its name, not its value
    store_secret: Annotated[
        str, Parameter(help="The Secret with the object store's environment variables.")
    ] = ""
    state_claim: Annotated[
        str, Parameter(help="The PersistentVolumeClaim that keeps what Jobs remember.")
    ] = ""


FOLLOWED_HERE = EmitFlags()
