"""One look at an upgrade: what stands in its way, and its plan on the cluster as it is."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

import msgspec

from shipkeeper.model.version import Version
from shipkeeper.operator.api.backups import BACKUP_SCHEDULE, BackupScheduleStatus
from shipkeeper.operator.api.upgrades import ClusterUpgradeSpec
from shipkeeper.operator.api.windows import MaintenanceWindowSpec
from shipkeeper.operator.packing import packed, unpacked
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.upgrades.look import Look
from shipkeeper.operator.upgrades.options import options_of, without_last
from shipkeeper.upgrade.catalog import Catalog, catalog
from shipkeeper.upgrade.check.judge import judge
from shipkeeper.upgrade.check.observe import Wanted, gather_evidence
from shipkeeper.upgrade.gist import gist_of
from shipkeeper.upgrade.options import UpgradeOptions
from shipkeeper.upgrade.procedure import Seen, observe


async def look_at(
    scene: Scene, spec: ClusterUpgradeSpec, windows: Mapping[str, MaintenanceWindowSpec]
) -> Look:
    """Check and plan; writes nothing. UsageError for nonsense."""
    own = (scene.node,) if scene.node else ()
    options, known = options_of(spec, windows, own), catalog()
    target = Version.parse(options.target)
    async with scene.sight.alone():
        seen = await observe(scene.connection, options, known)
        # In a thread: the proof takes seconds, and the Lease is renewed meanwhile.
        text, agreed = await asyncio.to_thread(_planned, seen, options, known)
        at, versions = seen.at, seen.versions
        # Whoever has its turn next has all pods in memory: ours are to be gone.
        del seen
    wanted = Wanted(backup_at=await _last_backup(scene))
    async with scene.sight.alone():
        evidence = await gather_evidence(scene.connection, target.minor, known, wanted)
    return Look(
        at=at,
        target=target,
        versions=versions,
        findings=await asyncio.to_thread(judge, evidence, target.minor, known, at),
        plan=unpacked(text),
        agreed=agreed,
    )


def _planned(seen: Seen, options: UpgradeOptions, known: Catalog) -> tuple[bytes, str]:
    """The packed plan, and what approves it, wherever the operator runs."""
    plan = seen.plan(options, known)
    text = packed(plan)
    if options.nodes.order.last:
        plan = seen.plan(without_last(options), known)
    return text, gist_of(plan).digest


async def _last_backup(scene: Scene) -> datetime | None:
    """When a schedule of ours last had everything that it is for backed up."""
    listed = await scene.reader.list(BACKUP_SCHEDULE.resource)
    statuses = [
        msgspec.json.decode(each.status, type=BackupScheduleStatus) for each in listed.items
    ]
    return max((each.last_success_at for each in statuses if each.last_success_at), default=None)
