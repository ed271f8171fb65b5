"""Reconciling reports: look when it is time, and tell what was found."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from shipkeeper.access.audit import audit
from shipkeeper.access.certs.judge import judge
from shipkeeper.access.certs.observe import Wanted, gather
from shipkeeper.access.kinds import EVERY_KIND
from shipkeeper.access.observe import observe
from shipkeeper.engine.finding import Findings
from shipkeeper.errors import ShipkeeperError, UsageError
from shipkeeper.kube.resources import CONFIG_MAPS
from shipkeeper.operator.api.kind import CustomObject, Kind
from shipkeeper.operator.api.reference import ObjectRef
from shipkeeper.operator.api.reports import (
    ACCESS_REPORT,
    CERTIFICATE_REPORT,
    AccessReportSpec,
    CertificateReportSpec,
    ReportStatus,
)
from shipkeeper.operator.errands import Errands
from shipkeeper.operator.guarding import guarded
from shipkeeper.operator.queue import WorkQueue
from shipkeeper.operator.reports.standing import (
    failed,
    following,
    looked,
    next_look,
    pause,
    suspended,
    text_of,
)
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.status import tell_event, write_status

ReportSpec = AccessReportSpec | CertificateReportSpec
LookAt = Callable[[Scene, Any], Awaitable[Findings]]
# A ConfigMap holds 1 MiB.
_LONGEST = 900_000
_AFTER_FAILURE = timedelta(minutes=5)


async def look_at_access(scene: Scene, spec: AccessReportSpec) -> Findings:
    """Audit access as it is now; what may not be read is told as not checked."""
    async with scene.sight.alone():
        policy = await observe(scene.steady, EVERY_KIND)
        return await asyncio.to_thread(audit, policy, with_system=spec.include_system)


async def look_at_certificates(scene: Scene, spec: CertificateReportSpec) -> Findings:
    """Check every certificate that can be seen from here."""
    survey = await gather(scene.connection, Wanted())
    return await asyncio.to_thread(judge, survey, timedelta(days=spec.horizon_days))


LOOKS: tuple[tuple[Kind[Any], LookAt], ...] = (
    (ACCESS_REPORT, look_at_access),
    (CERTIFICATE_REPORT, look_at_certificates),
)


class ReportReconciler:
    """Reconciles the reports of one kind; looks go on beside, one at a time."""

    def __init__(
        self, scene: Scene, queue: WorkQueue, kind: Kind[ReportSpec], look_at: LookAt
    ) -> None:
        self._scene = scene
        self._kind = kind
        self._look_at = look_at
        self._looks: Errands[Findings] = Errands(queue.add, scene.heavy, of_spec=True)
        self._failed_at: dict[str, float] = {}

    async def stop(self) -> None:
        """Stop looking."""
        await self._looks.stop()

    async def reconcile(self, key: str, found: CustomObject | None) -> timedelta | None:
        """Look if it is time; when to look again."""
        if found is None or found.metadata.deletion_timestamp is not None:
            self._looks.drop(key)
            return None
        before = msgspec.json.decode(found.status, type=ReportStatus)
        now = datetime.now(UTC)
        try:
            spec = self._kind.read(found)
            return await self._reconcile(key, found, spec, before, now)
        except msgspec.DecodeError as error:
            refused = UsageError(str(error), reason="Malformed", hint="mend spec")
            return await self._tell_failure(found, before, refused, now, "Accepted")
        except UsageError as error:
            return await self._tell_failure(found, before, error, now, "Accepted")

    async def _reconcile(
        self,
        key: str,
        found: CustomObject,
        spec: ReportSpec,
        before: ReportStatus,
        now: datetime,
    ) -> timedelta | None:
        generation = found.metadata.generation
        if spec.suspend:
            self._looks.drop(key)
            status = suspended(before, generation)
            await write_status(self._scene.writer, self._kind, found, status)
            return None
        is_same = before.observed_generation == generation
        look = next_look(spec.schedule, before.checked_at if is_same else None, now)
        resting = self._rest(found.uid) if is_same else timedelta(0)
        if not self._looks.is_under_way(found):
            if not look.is_due:
                return pause(look.at, now)
            if resting:
                return resting
        try:
            findings = self._looks.outcome(
                found, lambda: guarded(self._scene, self._look_at(self._scene, spec))
            )
        except ShipkeeperError as error:
            self._failed_at[found.uid] = asyncio.get_running_loop().time()
            await self._tell_failure(found, before, error, now, "Checked")
            return _AFTER_FAILURE
        if findings is None:
            return None
        self._failed_at.pop(found.uid, None)
        return await self._tell(found, spec, before, findings, now)

    def _rest(self, uid: str) -> timedelta:
        """How long a look that failed is not tried again."""
        failed_at = self._failed_at.get(uid)
        if failed_at is None:
            return timedelta(0)
        left = failed_at + _AFTER_FAILURE.total_seconds() - asyncio.get_running_loop().time()
        return timedelta(seconds=max(left, 0))

    async def _tell(
        self,
        found: CustomObject,
        spec: ReportSpec,
        before: ReportStatus,
        findings: Findings,
        now: datetime,
    ) -> timedelta:
        place = await self._keep(found, text_of(findings))
        next_at = following(spec.schedule, now)
        generation = found.metadata.generation
        status = looked(before, generation, findings, spec.fail_on, next_at, place, now)
        await write_status(self._scene.writer, self._kind, found, status)
        if status.phase != before.phase:
            await tell_event(
                self._scene.writer,
                self._kind,
                found,
                status.phase,
                status.message,
                is_warning=status.phase == "Findings",
            )
        return pause(next_at, now)

    async def _keep(self, found: CustomObject, text: str) -> ObjectRef:
        """Keep the whole report where people find it."""
        name, namespace = f"{self._kind.kind.lower()}-{found.uid}", self._scene.namespace
        data = text.encode()
        if len(data) > _LONGEST:
            data = data[:_LONGEST] + b"\n(cut short: run the command for the rest)\n"
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "ownerReferences": [
                    {
                        "apiVersion": self._kind.api_version,
                        "kind": self._kind.kind,
                        "name": found.name,
                        "uid": found.uid,
                    }
                ],
            },
            "data": {"report.txt": data.decode("utf-8", "ignore")},
        }
        await self._scene.writer.apply(CONFIG_MAPS, manifest, force=True)
        return ObjectRef(namespace=namespace, name=name)

    async def _tell_failure(
        self,
        found: CustomObject,
        before: ReportStatus,
        error: ShipkeeperError,
        now: datetime,
        condition: str,
    ) -> None:
        status = failed(before, found.metadata.generation, error, now, failing=condition)
        if await write_status(self._scene.writer, self._kind, found, status):
            self._scene.complain(f"{self._kind.kind} {found.name}", error)
            await tell_event(
                self._scene.writer,
                self._kind,
                found,
                error.reason,
                error.message,
                is_warning=True,
            )
