"""A schedule as manifests for the cluster: a CronJob, and what it may read. Pure."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec

from shipkeeper.backup.schedule import Schedule
from shipkeeper.errors import UsageError
from shipkeeper.model.restricted import container_security, pod_security
from shipkeeper.model.version import Version

Manifest = dict[str, Any]

KEY_FOLDER = "/etc/shipkeeper/key"
KEY_FILE = "writer.key"
STATE_HOME = "/var/lib"
_STATE = f"{STATE_HOME}/shipkeeper"
_BATCH_V1 = Version(1, 21, 0)
_TIME_ZONE = Version(1, 27, 0)
_LONGEST_DELAY = timedelta(days=1)
_SHORTEST_DELAY = timedelta(minutes=5)

_ROLE_SAYS = """\
# A backup lists every kind that the cluster serves, so that what is installed tomorrow is in it,
# too: Secrets and custom resources among them. Nothing but `list` is allowed on all of them: `get`
# would also let its holder run commands (nodes/proxy, pods/exec). It changes nothing.
# To allow less, name the kinds here and choose them with --kind; what may not be read makes the
# backup incomplete, by name."""


_VOLUMES_SAY = """\
# Volumes are saved, too: their hooks run in pods, and files of nodes are read through privileged
# pods. Who may do that is root on every node: guard this account as you guard the nodes."""


class CronJobOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where the CronJob goes and what it needs there; `version` is the cluster's.

    Secrets are named, never their values: `key_secret` holds the writer's key, `store_secret` the
    environment variables of the object store. `state_claim` keeps what is remembered between Jobs.
    `pods_in` is the namespace of the pods that volumes are read through, empty if none are saved.
    """

    version: Version
    image: str
    name: str
    namespace: str
    key_secret: str
    store_secret: str = ""
    state_claim: str = ""
    pods_in: str = ""


class Document(msgspec.Struct, frozen=True):
    """A manifest, and what is to be said before it."""

    manifest: Manifest
    comment: str = ""


def documents(
    schedule: Schedule, arguments: tuple[str, ...], pause: timedelta, options: CronJobOptions
) -> tuple[Document, ...]:
    """Everything that the backup needs in the cluster, in the order in which it is to be made.

    `arguments` are those of shipkeeper; `pause` is the time between two backups. UsageError for an
    expression that Kubernetes reads otherwise, or not at all.
    """
    _require_common(schedule.cron.expression)
    return tuple(_documents(schedule, arguments, pause, options))


def as_text(found: tuple[Document, ...]) -> str:
    """The documents as YAML, for `kubectl apply -f -`."""
    return "---\n".join(
        (f"{each.comment}\n" if each.comment else "") + msgspec.yaml.encode(each.manifest).decode()
        for each in found
    )


def _documents(
    schedule: Schedule, arguments: tuple[str, ...], pause: timedelta, options: CronJobOptions
) -> Iterator[Document]:
    where = {"name": options.name, "namespace": options.namespace}
    # A second namespace may have the same: what belongs to no namespace says whose it is.
    wide = {"name": f"{options.namespace}-{options.name}"}
    yield Document(
        _manifest("v1", "Namespace", {"name": options.namespace}),
        _head(options),
    )
    yield Document(_manifest("v1", "ServiceAccount", where))
    yield Document(
        _manifest(
            "rbac.authorization.k8s.io/v1",
            "ClusterRole",
            wide,
            rules=rules(saves_volumes=bool(options.pods_in)),
        ),
        f"{_ROLE_SAYS}\n{_VOLUMES_SAY}" if options.pods_in else _ROLE_SAYS,
    )
    yield Document(
        _manifest(
            "rbac.authorization.k8s.io/v1",
            "ClusterRoleBinding",
            wide,
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", **wide},
            subjects=[{"kind": "ServiceAccount", **where}],
        )
    )
    api_version = "batch/v1beta1" if options.version < _BATCH_V1 else "batch/v1"
    spec = _spec(schedule, arguments, pause, options)
    yield Document(
        _manifest(api_version, "CronJob", where, spec=spec), _zone_says(schedule, options)
    )


def _manifest(api_version: str, kind: str, metadata: Manifest, **fields: Any) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


def _head(options: CronJobOptions) -> str:
    in_namespace = f"kubectl -n {options.namespace} create secret generic"
    lines = [
        f"# For Kubernetes {options.version}. The Secrets are not among these; make them with:",
        f"#   {in_namespace} {options.key_secret} --from-file={KEY_FILE}=PATH",
    ]
    if options.store_secret:
        lines.append(
            f"#   {in_namespace} {options.store_secret} --from-literal=AWS_ACCESS_KEY_ID=…"
        )
    lines += [
        "# The identity that reads backups is not needed here, and stays out of the cluster.",
        "# When it last succeeded: kube_cronjob_status_last_successful_time of kube-state-metrics.",
    ]
    return "\n".join(lines)


def rules(*, saves_volumes: bool) -> list[Manifest]:
    """What whoever makes a backup must be allowed, everywhere in the cluster."""
    return [
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["list"]},
        # Its UID tells this cluster from all others.
        {
            "apiGroups": [""],
            "resources": ["namespaces"],
            "resourceNames": ["kube-system"],
            "verbs": ["get"],
        },
        *(_volume_rules() if saves_volumes else ()),
    ]


def _volume_rules() -> list[Manifest]:
    snapshots = "snapshot.storage.k8s.io"
    return [
        {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]},
        {
            "apiGroups": [""],
            "resources": ["pods"],
            "verbs": ["get", "watch", "create", "delete"],
        },
        # API servers ask for `get` or for `create`, by their version.
        {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get", "create"]},
        {"apiGroups": [snapshots], "resources": ["volumesnapshots"], "verbs": ["get", "create"]},
        {"apiGroups": [snapshots], "resources": ["volumesnapshotcontents"], "verbs": ["get"]},
    ]


def _zone_says(schedule: Schedule, options: CronJobOptions) -> str:
    if not options.version < _TIME_ZONE:
        return ""
    return (
        f"# Kubernetes {options.version} has no time zones for CronJobs: the schedule is read in "
        "that of\n"
        f"# kube-controller-manager, usually UTC, and was written for {schedule.cron.zone}."
    )


def _spec(
    schedule: Schedule, arguments: tuple[str, ...], pause: timedelta, options: CronJobOptions
) -> Manifest:
    late = _SHORTEST_DELAY if schedule.missed == "skip" else max(pause, _SHORTEST_DELAY)
    pod = _pod(arguments, options)
    zone = {} if options.version < _TIME_ZONE else {"timeZone": schedule.cron.zone}
    return {
        "schedule": schedule.cron.expression,
        **zone,
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": int(min(late, _LONGEST_DELAY).total_seconds()),
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 3,
        # What fails is tried again within the Job: see --retries.
        "jobTemplate": {"spec": {"backoffLimit": 0, "template": {"spec": pod}}},
    }


def _pod(arguments: tuple[str, ...], options: CronJobOptions) -> Manifest:
    state: Manifest = (
        {"persistentVolumeClaim": {"claimName": options.state_claim}}
        if options.state_claim
        else {"emptyDir": {}}
    )
    return {
        "serviceAccountName": options.name,
        "restartPolicy": "Never",
        "securityContext": pod_security(),
        "containers": [_container(arguments, options)],
        "volumes": [
            {"name": "key", "secret": {"secretName": options.key_secret, "defaultMode": 0o400}},
            {"name": "state", **state},
            {"name": "tmp", "emptyDir": {}},
        ],
    }


def _container(arguments: tuple[str, ...], options: CronJobOptions) -> Manifest:
    credentials = (
        {"envFrom": [{"secretRef": {"name": options.store_secret}}]} if options.store_secret else {}
    )
    return {
        "name": "backup",
        "image": options.image,
        # The image knows how it is started; what it is started by has no name in its PATH.
        "args": list(arguments),
        "env": [
            {"name": "XDG_STATE_HOME", "value": STATE_HOME},
            {"name": "HOME", "value": "/tmp"},  # noqa: S108 - the pod's own, and empty
        ],
        **credentials,
        "resources": {"requests": {"cpu": "100m", "memory": "384Mi"}},
        "securityContext": container_security(),
        "volumeMounts": [
            {"name": "key", "mountPath": KEY_FOLDER, "readOnly": True},
            {"name": "state", "mountPath": _STATE},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108
        ],
    }


def _require_common(expression: str) -> None:
    """What both this cron and Kubernetes' (robfig/cron's standard parser) read the same way."""
    _, _, day, _, weekday = expression.upper().split()
    if re.search("[LW#]", day) or re.search("[L#]", weekday):
        raise _other(expression, "knows no L, W and #", "write the days as numbers")
    if "7" in re.findall(r"\d+", weekday):
        raise _other(expression, "knows no weekday 7", "write 0 or sun for Sunday")
    stars = [each.startswith("*") for each in (day, weekday)]
    steps = [each.startswith("*/") for each in (day, weekday)]
    if any(steps) and "*" not in (day, weekday) and any(stars):
        raise _other(
            expression, "takes either day of the two, and not both", "write the days as numbers"
        )


def _other(expression: str, why: str, hint: str) -> UsageError:
    return UsageError(
        f"a CronJob cannot follow {expression!r}: Kubernetes {why}",
        reason="InvalidSchedule",
        hint=hint,
    )
