"""The Job that makes one backup, as a manifest. Pure."""

from collections.abc import Iterator
from typing import Any

import msgspec

from shipkeeper.backup.skip import OF_BACKUP_LABEL
from shipkeeper.errors import UsageError
from shipkeeper.model.duration import parse_duration
from shipkeeper.model.restricted import container_security, pod_security
from shipkeeper.operator.api.backups import BACKUP, BackupRepositorySpec, BackupSpec
from shipkeeper.operator.api.contents import BackupJob, BackupVolumes, Objects
from shipkeeper.operator.api.kind import CustomObject

Manifest = dict[str, Any]

ACCOUNT = "shipkeeper-backup-jobs"
"""The ServiceAccount of Jobs, beside the operator; `backup schedule --emit` has another."""
PART_OF = {"app.kubernetes.io/name": "shipkeeper", "app.kubernetes.io/component": "backup"}
_KEY_FOLDER, _KEY_FILE = "/etc/shipkeeper/key", "writer.key"
# Memory that every container has; nothing of a backup is kept where it is made.
_STATE = "/dev/shm"  # noqa: S108 - nobody else is in the pod
# Whoever looks why a Job failed has a day for it.
_KEPT_SECONDS = 86_400


class JobRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt: of which Backup, under which name in which repository, from which image."""

    found: CustomObject
    spec: BackupSpec
    repository: BackupRepositorySpec
    namespace: str
    image: str
    id: str
    attempt: int

    @property
    def name(self) -> str:
        """What the Job of this attempt is called: an attempt has one Job only."""
        return f"backup-{self.id}-{self.attempt}"


def job_manifest(request: JobRequest) -> Manifest:
    """The Job of an attempt. UsageError if its repository is not to be seen from a Job."""
    job = request.spec.job or BackupJob()
    owner = {
        "apiVersion": BACKUP.api_version,
        "kind": BACKUP.kind,
        "name": request.found.name,
        "uid": request.found.uid,
    }
    labels = {**PART_OF, OF_BACKUP_LABEL: request.found.uid}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": request.name,
            "namespace": request.namespace,
            "labels": labels,
            "ownerReferences": [owner],
        },
        "spec": {
            # An attempt more is for the operator to begin, which counts them.
            "backoffLimit": 0,
            "activeDeadlineSeconds": max(1, int(parse_duration(job.time_limit).total_seconds())),
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "template": {"metadata": {"labels": labels}, "spec": _pod(request, job)},
        },
    }


def _pod(request: JobRequest, job: BackupJob) -> Manifest:
    secret = {"secretName": request.repository.key_secret.name, "defaultMode": 0o400}
    return {
        "serviceAccountName": ACCOUNT,
        "restartPolicy": "Never",
        "securityContext": pod_security(),
        "containers": [_container(request, job)],
        "volumes": [{"name": "key", "secret": secret}],
    }


def _container(request: JobRequest, job: BackupJob) -> Manifest:
    store = request.repository.store_secret
    credentials = {"envFrom": [{"secretRef": {"name": store.name}}]} if store else {}
    memory = {"memory": job.memory_limit}
    return {
        "name": "backup",
        "image": request.image,
        "args": list(_arguments(request)),
        "env": [{"name": name, "value": _STATE} for name in ("HOME", "XDG_STATE_HOME")],
        **credentials,
        "resources": {"requests": {"cpu": "100m", **memory}, "limits": memory},
        # Its last words are what the Backup's status says of a failure.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": container_security(),
        "volumeMounts": [{"name": "key", "mountPath": _KEY_FOLDER, "readOnly": True}],
    }


def _arguments(request: JobRequest) -> Iterator[str]:
    if "://" not in request.repository.url.removeprefix("file://"):
        raise UsageError(
            f"a Job does not see the folder {request.repository.url}",
            reason="FolderInJob",
            hint="keep the repository in an object store, or leave job and volumes out",
        )
    yield from ("backup", "create", f"--id={request.id}", "--output=name")
    yield f"--repo={request.repository.url}"
    if request.repository.endpoint:
        yield f"--endpoint={request.repository.endpoint}"
    yield f"--key={_KEY_FOLDER}/{_KEY_FILE}"
    yield from _selection(request.spec.objects)
    if request.spec.volumes:
        yield from _volumes(request.spec.volumes)
        # A Job that is killed (for its memory) removes nothing.
        yield f"--pod-lifetime={(request.spec.job or BackupJob()).time_limit}"


def _selection(objects: Objects) -> Iterator[str]:
    """What is chosen, spelled as the command line takes it."""
    for flag, values in (
        ("namespace", objects.namespaces),
        ("exclude-namespace", objects.exclude_namespaces),
        ("kind", objects.kinds),
        ("exclude-kind", objects.exclude_kinds),
        ("name", objects.names),
        ("exclude-name", objects.exclude_names),
    ):
        yield from (f"--{flag}={value}" for value in values)
    if objects.selector:
        yield f"--selector={objects.selector}"
    yield f"--cluster-scoped={objects.cluster_scoped}"


def _volumes(volumes: BackupVolumes) -> Iterator[str]:
    yield from (f"--volume={each}" for each in volumes.only) if volumes.only else ("--volumes=all",)
    yield from ("--hosts=pod", f"--pod-image={volumes.image}")
    yield f"--pod-namespace={volumes.namespace}"
