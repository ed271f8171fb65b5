"""The Job that makes one backup. Pure."""

from collections.abc import Iterator

import msgspec

from shipkeeper.backup.skip import OF_BACKUP_LABEL
from shipkeeper.operator.api.backups import BACKUP, BackupRepositorySpec, BackupSpec
from shipkeeper.operator.api.contents import BackupVolumes, JobLimits, Objects
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.backups.job_manifest import (
    Attempt,
    Manifest,
    job_manifest,
    require_store,
)

ACCOUNT = "shipkeeper-backup-jobs"
"""The ServiceAccount of Jobs, beside the operator; `backup schedule --emit` has another."""
PART_OF = {"app.kubernetes.io/name": "shipkeeper", "app.kubernetes.io/component": "backup"}
_KEY_FOLDER, _KEY_FILE = "/etc/shipkeeper/key", "writer.key"


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
    def limits(self) -> JobLimits:
        """What the Job may take."""
        return self.spec.job or JobLimits()

    @property
    def name(self) -> str:
        """What the Job of this attempt is called: an attempt has one Job only."""
        return f"backup-{self.id}-{self.attempt}"


def backup_job(request: JobRequest) -> Manifest:
    """The Job of an attempt. UsageError if its repository is not to be seen from a Job."""
    secret = {"secretName": request.repository.key_secret.name, "defaultMode": 0o400}
    store = request.repository.store_secret
    credentials = {"envFrom": [{"secretRef": {"name": store.name}}]} if store else {}
    mount = {"name": "key", "mountPath": _KEY_FOLDER, "readOnly": True}
    return job_manifest(
        Attempt(
            kind=BACKUP,
            found=request.found,
            name=request.name,
            namespace=request.namespace,
            image=request.image,
            account=ACCOUNT,
            labels={**PART_OF, OF_BACKUP_LABEL: request.found.uid},
            limits=request.limits,
            arguments=tuple(_arguments(request)),
            container={**credentials, "volumeMounts": [mount]},
            volumes=({"name": "key", "secret": secret},),
        )
    )


def _arguments(request: JobRequest) -> Iterator[str]:
    require_store(request.repository.url)
    yield from ("backup", "create", f"--id={request.id}", "--output=name")
    yield f"--repo={request.repository.url}"
    if request.repository.endpoint:
        yield f"--endpoint={request.repository.endpoint}"
    yield f"--key={_KEY_FOLDER}/{_KEY_FILE}"
    yield from _selection(request.spec.objects)
    if request.spec.volumes:
        yield from _volumes(request.spec.volumes)
        # A Job that is killed (for its memory) removes nothing.
        yield f"--pod-lifetime={request.limits.time_limit}"


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
