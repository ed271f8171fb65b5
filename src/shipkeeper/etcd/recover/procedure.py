"""A recovery: look at the hosts, plan, what its runs are done by, and where its way back ends."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from shipkeeper.engine.host_runs import HostRuns
from shipkeeper.engine.journal import Journal, Outcome, RunRecord
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.progress import Sink
from shipkeeper.errors import BlockedError
from shipkeeper.etcd.errors import EtcdError
from shipkeeper.etcd.recover import programs
from shipkeeper.etcd.recover.plan import NO_RETURN, PROCEDURE, Seen, plan_recovery
from shipkeeper.etcd.recover.steps import bench_of, recovery_actions, run_on
from shipkeeper.etcd.snapshot import open_snapshot
from shipkeeper.etcd.static_pod import decode_static_pod
from shipkeeper.etcd.status import read_status
from shipkeeper.hosts.host import Host
from shipkeeper.hosts.together import together


async def prepare(
    hosts: Mapping[str, Host], snapshot: Path, *, skip_hash_check: bool, timeout: float
) -> Plan:
    """Check the snapshot, look at every host, and plan; writes nothing.

    timeout: how many seconds each wait for a process or for its health may take.
    """
    path, size, digest = await asyncio.to_thread(_check, snapshot, skip=skip_hash_check)
    seen = await together(*map(_look, hosts.values()))
    request = {
        "snapshot": str(path),
        "sha256": digest,
        "hosts": list(hosts),
        "skipHashCheck": skip_hash_check,
        "timeout": timeout,
    }
    return plan_recovery(seen, request, size, datetime.now(UTC))


def runs_of(hosts: Mapping[str, Host], journal: Journal) -> HostRuns:
    """The recoveries of these hosts."""
    return HostRuns(
        journal=journal,
        procedure=PROCEDURE,
        hosts=frozenset(hosts),
        actions_of=lambda plan, folder, tell: recovery_actions(bench_of(plan, hosts, folder, tell)),
    )


def under_way(runs: HostRuns) -> RunRecord | None:
    """The recovery that was interrupted, or failed where there is no way back."""
    newest = runs.newest()
    if newest is None:
        return None
    is_stuck = newest.outcome is Outcome.FAILED and _has_no_way_back(runs.journal, newest)
    return newest if newest.is_unfinished or is_stuck else None


async def abort(runs: HostRuns, record: RunRecord, tell: Sink) -> None:
    """Let the old etcd and API servers run again; BlockedError past the point of no return."""
    if _has_no_way_back(runs.journal, record):
        raise BlockedError(
            f"run {record.id} is past its point of no return: the restored cluster takes writes",
            reason="NoReturn",
            hint="go on with the same command, without --abort",
        )
    await runs.abort(record, tell)


def _has_no_way_back(journal: Journal, record: RunRecord) -> bool:
    return any(entry.step == NO_RETURN for entry in journal.entries(record.id))


def _check(snapshot: Path, *, skip: bool) -> tuple[Path, int, str]:
    """Where a snapshot that is whole lies, its bytes, and its SHA-256."""
    with open_snapshot(snapshot) as opened:
        read_status(opened.database())
        if not skip:
            opened.require_sha256()
        digest = opened.sha256().hex() if skip else opened.trailer.hex()
        return snapshot.absolute(), opened.stat.st_size, digest


async def _look(host: Host) -> Seen:
    free, _, manifest = (await run_on(host, programs.look())).partition("\n")
    seen = Seen(host=host.name, manifest=manifest, free=int(free) << 10, is_healthy=False)
    return Seen(
        host=seen.host, manifest=manifest, free=seen.free, is_healthy=await _is_healthy(host, seen)
    )


async def _is_healthy(host: Host, seen: Seen) -> bool:
    """Whether etcd and the API server of a host answer now."""
    metrics = decode_static_pod(seen.manifest).flag("listen-metrics-urls")
    address, _, port = metrics.rpartition("/")[2].partition(":")
    try:
        await run_on(host, programs.is_healthy(address, int(port or 0)))
    except EtcdError:
        # Whatever it is that does not answer: what is not well need not be so again.
        return False
    return True
