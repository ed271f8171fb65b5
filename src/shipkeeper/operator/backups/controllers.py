"""The controllers of everything around backups, and how they wake each other."""

from collections.abc import Awaitable, Callable
from typing import Any

from shipkeeper.operator.api.backups import BACKUP, BACKUP_REPOSITORY, BACKUP_SCHEDULE
from shipkeeper.operator.api.kind import CustomObject, Kind
from shipkeeper.operator.api.restores import RESTORE
from shipkeeper.operator.backups.repositories import RepositoryReconciler
from shipkeeper.operator.backups.restore_jobs import RestoreJobReconciler
from shipkeeper.operator.backups.restoring import RestoreReconciler
from shipkeeper.operator.backups.scheduling import ScheduleReconciler
from shipkeeper.operator.backups.taking import BackupReconciler
from shipkeeper.operator.controller import Controller, Reconciler
from shipkeeper.operator.scene import Scene

OpenController = Callable[[Kind[Any]], Awaitable[Controller]]


async def backup_controllers(
    scene: Scene, open_controller: OpenController
) -> list[tuple[Controller, Reconciler]]:
    """Each controller of backups, and what it has its objects reconciled by."""
    repositories = await open_controller(BACKUP_REPOSITORY)
    backups = await open_controller(BACKUP)
    schedules = await open_controller(BACKUP_SCHEDULE)

    def wake() -> None:
        taking.look_again()

    def wake_owner(backup: CustomObject) -> None:
        for owner in backup.metadata.owner_references:
            if owner.kind == BACKUP_SCHEDULE.kind:
                schedules.queue.add(owner.name)

    backups.following.subscribe(lambda change: wake_owner(change.object))
    places = RepositoryReconciler(scene, repositories.queue, repositories.following.objects, wake)
    taking = BackupReconciler(
        scene,
        backups.queue,
        backups.following.objects,
        repositories.following.objects,
        places.look_again,
    )
    scheduling = ScheduleReconciler(
        scene,
        schedules.queue,
        schedules.following.objects,
        backups.following.objects,
        repositories.following.objects,
    )
    restores = await open_controller(RESTORE)
    here = RestoreReconciler(
        scene, restores.queue, restores.following.objects, repositories.following.objects
    )
    restoring = RestoreJobReconciler(scene, here, repositories.following.objects)
    return [
        (repositories, places),
        (backups, taking),
        (schedules, scheduling),
        (restores, restoring),
    ]
