"""What backups take, which is not allowed unless whoever installs the operator says so. Pure."""

from shipkeeper.operator.api.kind import GROUP
from shipkeeper.operator.grant import Grant

BACKUP_JOBS, RESTORE_JOBS = "backup-jobs", "restore-jobs"
_RESTORES = (
    Grant(
        group="*",
        resources=("*",),
        verbs=("get", "list", "create", "patch", "delete"),
        why="compare with what is there, and write what a Restore brings back",
    ),
    Grant(
        group="rbac.authorization.k8s.io",
        resources=("clusterroles", "roles"),
        verbs=("bind", "escalate"),
        why="bring roles and bindings back that allow more than the operator is allowed",
    ),
)
BACKUP_EXTRAS: dict[str, tuple[Grant, ...]] = {
    "backups": (
        Grant(
            group="*",
            resources=("*",),
            verbs=("list",),
            why="back up every kind, Secrets among them (Backup); without get, which on some "
            "resources would run commands",
        ),
        Grant(
            group=GROUP,
            resources=("backups",),
            verbs=("patch",),
            why="hold a Backup until what is stored is forgotten (deletionPolicy Delete)",
        ),
        Grant(
            group=GROUP,
            resources=("backups",),
            verbs=("create", "delete"),
            why="create Backups by schedule, and remove those that retention let go of",
        ),
    ),
    # Beside the former; what the Jobs themselves may is another ServiceAccount's.
    BACKUP_JOBS: (),
    "restores": _RESTORES,
    RESTORE_JOBS: (
        Grant(
            group=GROUP,
            resources=("restores",),
            verbs=("patch",),
            why="let a Restore go that its Jobs are done with",
        ),
    ),
}
_KEYS = Grant(
    group="",
    resources=("secrets",),
    verbs=("get",),
    why="open BackupRepositories with the keys in Secrets beside the operator",
)


def _jobs(why: str) -> Grant:
    return Grant(
        group="batch",
        resources=("jobs",),
        verbs=("create", "list"),
        why=f"{why}, as a ServiceAccount of their own",
    )


# In the operator's own namespace, for those of the same name.
OWN_EXTRAS: dict[str, tuple[Grant, ...]] = {
    "backups": (_KEYS,),
    BACKUP_JOBS: (_jobs("have Jobs make backups (Backup with job or volumes)"),),
    "restores": (_KEYS,),
    RESTORE_JOBS: (_jobs("have Jobs plan Restores and carry them out (Restore with job)"),),
}
# What the ServiceAccounts of Jobs may that carry Restores out.
OF_RESTORE_JOBS: tuple[Grant, ...] = (
    *_RESTORES,
    Grant(
        group=GROUP,
        resources=("backuprepositories", "restores"),
        verbs=("watch",),
        why="notice that a Restore is approved, or deleted",
    ),
    Grant(
        group="",
        resources=("pods",),
        verbs=("watch",),
        why="await the pods through which files of volumes are written (Restore with volumes)",
    ),
    Grant(
        group="coordination.k8s.io",
        resources=("leases",),
        verbs=("watch",),
        why="have one process at a time carry a Restore out",
    ),
)
