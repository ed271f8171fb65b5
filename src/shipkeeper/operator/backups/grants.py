"""What backups take, which is not allowed unless whoever installs the operator says so. Pure."""

from shipkeeper.operator.api.kind import GROUP
from shipkeeper.operator.grant import Grant

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
    "backup-jobs": (),
    "restores": (
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
    ),
}
_KEYS = Grant(
    group="",
    resources=("secrets",),
    verbs=("get",),
    why="open BackupRepositories with the keys in Secrets beside the operator",
)
_JOBS = Grant(
    group="batch",
    resources=("jobs",),
    verbs=("create", "list"),
    why="have Jobs make backups (Backup with job or volumes), as a ServiceAccount of their own",
)
JOBS_EXTRA = "backup-jobs"
# In the operator's own namespace, for those of the same name.
OWN_EXTRAS: dict[str, tuple[Grant, ...]] = {
    "backups": (_KEYS,),
    JOBS_EXTRA: (_JOBS,),
    "restores": (_KEYS,),
}
