"""A Job of the operator's: one attempt at something that an object asks for. Pure."""

from typing import Any

import msgspec

from shipkeeper.errors import UsageError
from shipkeeper.model.duration import parse_duration
from shipkeeper.model.restricted import container_security, pod_security
from shipkeeper.operator.api.contents import JobLimits
from shipkeeper.operator.api.kind import CustomObject, Kind

Manifest = dict[str, Any]

# Memory that every container has; nothing that outlasts a Job is kept where it works.
_STATE = "/dev/shm"  # noqa: S108 - nobody else is in the pod
# Whoever looks why a Job failed has a day for it.
_KEPT_SECONDS = 86_400
_LEAST_CPU = "100m"


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt: whose it is, where it is made, from which image, and as whom.

    `container` is what its container has beside what all of them have.
    """

    kind: Kind[Any]
    found: CustomObject
    name: str
    namespace: str
    image: str
    account: str
    labels: dict[str, str]
    limits: JobLimits
    arguments: tuple[str, ...]
    container: Manifest = {}
    volumes: tuple[Manifest, ...] = ()


def job_manifest(attempt: Attempt) -> Manifest:
    """The Job of an attempt, which goes with the object."""
    owner = {
        "apiVersion": attempt.kind.api_version,
        "kind": attempt.kind.kind,
        "name": attempt.found.name,
        "uid": attempt.found.uid,
    }
    seconds = int(parse_duration(attempt.limits.time_limit).total_seconds())
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": attempt.name,
            "namespace": attempt.namespace,
            "labels": attempt.labels,
            "ownerReferences": [owner],
        },
        "spec": {
            # An attempt more is for the operator to begin, which counts them.
            "backoffLimit": 0,
            "activeDeadlineSeconds": max(1, seconds),
            "ttlSecondsAfterFinished": _KEPT_SECONDS,
            "template": {"metadata": {"labels": attempt.labels}, "spec": _pod(attempt)},
        },
    }


def require_store(url: str) -> None:
    """UsageError unless a repository is to be seen from a Job."""
    if "://" not in url.removeprefix("file://"):
        raise UsageError(
            f"a Job does not see the folder {url}",
            reason="FolderInJob",
            hint="keep the repository in an object store, or leave job and volumes out",
        )


def _pod(attempt: Attempt) -> Manifest:
    return {
        "serviceAccountName": attempt.account,
        "restartPolicy": "Never",
        "securityContext": pod_security(),
        "containers": [_container(attempt)],
        **({"volumes": list(attempt.volumes)} if attempt.volumes else {}),
    }


def _container(attempt: Attempt) -> Manifest:
    memory = {"memory": attempt.limits.memory_limit}
    cpu = {"cpu": attempt.limits.cpu_limit} if attempt.limits.cpu_limit else {}
    return {
        "name": "shipkeeper",
        "image": attempt.image,
        "args": list(attempt.arguments),
        "env": [{"name": name, "value": _STATE} for name in ("HOME", "XDG_STATE_HOME")],
        "resources": {"requests": {"cpu": _LEAST_CPU, **memory}, "limits": {**memory, **cpu}},
        # Its last words are what the object's status says of a failure.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": container_security(),
        **attempt.container,
    }
