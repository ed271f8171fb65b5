"""The Job that plans a Restore, carries it out or takes it back: whatever is next. Pure."""

from shipkeeper.backup.skip import OF_RESTORE_LABEL
from shipkeeper.operator.api.contents import JobLimits
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.api.restores import RESTORE
from shipkeeper.operator.backups.job_manifest import Attempt, Manifest, job_manifest

ACCOUNT = "shipkeeper-restore-jobs"
"""The ServiceAccount of Jobs, beside the operator."""
PART_OF = {"app.kubernetes.io/name": "shipkeeper", "app.kubernetes.io/component": "restore"}


def name_of(found: CustomObject, attempt: int) -> str:
    """What the Job of an attempt is called: an attempt has one Job only."""
    return f"restore-{found.uid}-{attempt}"


def restore_job(
    found: CustomObject, name: str, limits: JobLimits, namespace: str, image: str
) -> Manifest:
    """The Job of an attempt: the Restore says all that it is to do."""
    return job_manifest(
        Attempt(
            kind=RESTORE,
            found=found,
            name=name,
            namespace=namespace,
            image=image,
            account=ACCOUNT,
            labels={**PART_OF, OF_RESTORE_LABEL: found.uid},
            limits=limits,
            arguments=(
                *("operator", "restore", found.name),
                *(f"--uid={found.uid}", f"--namespace={namespace}"),
            ),
        )
    )
