"""A schedule for another clock: manifests of a CronJob, or units of systemd."""

import os
import shutil
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from shipkeeper.backup.cronjob import (
    KEY_FILE,
    KEY_FOLDER,
    CronJobOptions,
    as_text,
    documents,
)
from shipkeeper.backup.schedule import Schedule
from shipkeeper.backup.systemd import UnitOptions, units
from shipkeeper.cli.backup_flags import RepositoryFlags, SelectionFlags
from shipkeeper.cli.backup_keep import KeepFlags
from shipkeeper.cli.flags import Cluster
from shipkeeper.cli.metrics import UNMEASURED, MetricsFlags
from shipkeeper.cli.output import show, write
from shipkeeper.cli.schedule_flags import EmitFlags, TimeFlags
from shipkeeper.cli.spelling import spelled
from shipkeeper.cli.volume_flags import HostFlags, VolumeFlags
from shipkeeper.engine.report import Report, item_list
from shipkeeper.errors import UsageError
from shipkeeper.kube.connection import connect
from shipkeeper.kube.reader import Reader
from shipkeeper.model.version import Version


@dataclass(frozen=True)
class Command:
    """The command line that is to be followed elsewhere."""

    schedule: Schedule
    times: TimeFlags
    objects: SelectionFlags
    volumes: VolumeFlags
    hosts: HostFlags
    keep: KeepFlags
    repository: RepositoryFlags
    metrics: MetricsFlags
    cluster: Cluster

    def _hosts(self) -> tuple[HostFlags, ...]:
        if not self.volumes.saves:
            return ()
        known_hosts, keys = self.hosts.ssh_known_hosts, self.hosts.ssh_key
        return (
            replace(
                self.hosts,
                ssh_key=tuple(map(_absolute, keys)),
                ssh_known_hosts=known_hosts
                if known_hosts == HostFlags.ssh_known_hosts
                else _absolute(known_hosts),
            ),
        )

    def words(self, *groups: "RepositoryFlags | MetricsFlags | Cluster | TimeFlags") -> list[str]:
        """The arguments of one backup of it, with these groups of flags beside what it takes."""
        cron = self.schedule.cron
        return [
            *("backup", "schedule", cron.expression, cron.zone, "--once"),
            *spelled(self.objects, self.volumes, *self._hosts(), self.keep, *groups),
        ]


async def emit(command: Command, flags: EmitFlags, output: str | None) -> None:
    """Print what `--emit` asks for; writes nothing else."""
    if flags.emit == "systemd":
        if output is not None:
            raise _bad("units of systemd have a form of their own", "leave -o out")
        write(_units(command, flags))
        return
    found = documents(
        command.schedule,
        _job_arguments(command, flags),
        _shortest_pause(command.schedule),
        await _cronjob_options(command, flags),
    )
    if output in (None, "yaml"):
        write(as_text(found))
        return
    manifests = [each.manifest for each in found]
    names = tuple(f"{each['kind'].lower()}/{each['metadata']['name']}" for each in manifests)
    value = {"apiVersion": "v1", "kind": "List", **item_list(manifests)}
    show(Report(value=value, body=names, names=names), output)


def _shortest_pause(planned: Schedule) -> timedelta:
    return planned.cron.shortest_pause(datetime.now(UTC)) or timedelta(days=1)


def _job_arguments(command: Command, flags: EmitFlags) -> tuple[str, ...]:
    """What the Job's container is given: the key of its Secret, and no key that reads."""
    if urlsplit(command.repository.repo).scheme in ("", "file", "memory"):
        raise _bad(
            f"a folder ({command.repository.repo}) is gone with the pod that writes to it",
            "name a repository in a bucket: s3://…, gs://… or az://…",
        )
    if command.metrics != UNMEASURED:
        raise _bad(
            "a Job is gone before its metrics are asked for",
            "ask kube-state-metrics for kube_cronjob_status_last_successful_time",
        )
    if command.volumes.saves and command.hosts.hosts != "pod":
        raise _bad(
            "a Job has no key to log in to hosts with",
            "let it reach them through privileged pods: --hosts pod",
        )
    if command.times.verify_every and not flags.state_claim:
        raise _bad(
            "a Job does not remember how many backups were made since the last verification",
            "name a PersistentVolumeClaim that does with --state-claim, "
            "or leave --verify-every out",
        )
    repository = replace(command.repository, key=f"{KEY_FOLDER}/{KEY_FILE}", identity="")
    return tuple(command.words(command.times, repository))


async def _cronjob_options(command: Command, flags: EmitFlags) -> CronJobOptions:
    if not flags.image:
        raise _bad("no image is named", "name one that has shipkeeper in it with --image")
    return CronJobOptions(
        version=await _version(command, flags),
        image=flags.image,
        name=flags.emit_name,
        namespace=flags.emit_namespace,
        key_secret=flags.key_secret,
        store_secret=flags.store_secret,
        state_claim=flags.state_claim,
        pods_in=command.hosts.pod_namespace if command.volumes.saves else "",
    )


async def _version(command: Command, flags: EmitFlags) -> Version:
    if flags.kubernetes_version:
        text = flags.kubernetes_version
        return Version.parse(text if text.count(".") > 1 else f"{text}.0")
    async with connect(command.cluster.options()) as connection:
        return await Reader(connection).version()


def _units(command: Command, flags: EmitFlags) -> str:
    """The same command with absolute paths; the timer, not the command, takes its time."""
    here = command.repository
    place = here.place()
    folder = _folder(here.repo)
    repository = replace(
        here,
        repo=folder or here.repo,
        key=_absolute(place.key),
        identity=_absolute(place.identity),
    )
    metrics = replace(command.metrics, metrics_file=_absolute(command.metrics.metrics_file))
    cluster = replace(command.cluster, kubeconfig=_kubeconfig(command.cluster))
    times = replace(command.times, jitter=TimeFlags.jitter)
    writes = [folder, str(Path(metrics.metrics_file).parent) if metrics.metrics_file else ""]
    return units(
        command.schedule,
        UnitOptions(
            name=flags.emit_name,
            command=(_own_path(), *command.words(times, repository, metrics, cluster)),
            writes=tuple(each for each in writes if each),
        ),
    )


def _own_path() -> str:
    own = Path(sys.argv[0])
    return str(own.absolute()) if own.exists() else shutil.which("shipkeeper") or "shipkeeper"


def _folder(url: str) -> str:
    parts = urlsplit(url)
    return _absolute(unquote(parts.path)) if parts.scheme in ("", "file") else ""


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute()) if path else ""


def _kubeconfig(cluster: Cluster) -> str:
    """The file that is used here; a service has neither the variable nor the home."""
    given = cluster.kubeconfig or os.environ.get("KUBECONFIG", "").partition(os.pathsep)[0]
    return _absolute(given or "~/.kube/config")


def _bad(message: str, hint: str) -> UsageError:
    return UsageError(message, reason="InvalidSchedule", hint=hint)
