"""Reconciling NodeMaintenances: plan, wait for approval, run, and stop safely when deleted."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import msgspec

from shipkeeper.errors import UsageError
from shipkeeper.kube.errors import ForbiddenError
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.api.maintenance import (
    NODE_MAINTENANCE,
    NodeMaintenanceSpec,
    NodeMaintenanceStatus,
)
from shipkeeper.operator.current import as_it_is
from shipkeeper.operator.declared import DeclaredRuns
from shipkeeper.operator.errands import Errands
from shipkeeper.operator.guarding import guarded
from shipkeeper.operator.ledger import ClusterLedger
from shipkeeper.operator.maintenance.carrying_out import Maintaining
from shipkeeper.operator.maintenance.planning import (
    NothingCanBeDoneError,
    asks_for_more,
    plan_maintenance,
    window_specs,
)
from shipkeeper.operator.maintenance.standing import has_ended
from shipkeeper.operator.maintenance.telling import Teller
from shipkeeper.operator.queue import WorkQueue
from shipkeeper.operator.runs import Runs
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.status import heed, hold

_LOOK_AGAIN = timedelta(minutes=1)
_KIND = NODE_MAINTENANCE


class MaintenanceReconciler:
    """Reconciles NodeMaintenances; the runs go on beside, one at a time."""

    def __init__(
        self,
        scene: Scene,
        queue: WorkQueue,
        runs: Runs,
        everything: Mapping[str, CustomObject],
        windows: Mapping[str, CustomObject],
    ) -> None:
        self._scene = scene
        self._windows = windows
        self._teller = Teller(scene)
        self._declared = DeclaredRuns(
            scene, _KIND, queue, runs, everything, Maintaining(scene.sight), self._teller
        )
        # A plan of nodes is small, and must not wait for backups.
        self._plans: Errands[ClusterLedger] = Errands(queue.add)

    async def stop(self) -> None:
        """Stop every run where it is."""
        await self._plans.stop()
        await self._declared.stop()

    async def reconcile(self, key: str, found: CustomObject | None) -> timedelta | None:
        """Look at a maintenance, and do what is next."""
        if found is None:
            self._plans.drop(key)
            return await self._declared.vanished(key)
        await self._declared.note(found)
        status = msgspec.json.decode(found.status, type=NodeMaintenanceStatus)
        if found.metadata.deletion_timestamp is not None:
            self._plans.drop(key)
            return await self._declared.end(found, has_ended=has_ended(status))
        if has_ended(status):
            if await heed(self._scene.writer, _KIND, found, status.observed_generation):
                return None  # That change brings it here again.
            return await self._declared.release(found)
        ledger = await self._begun(found)
        try:
            spec = _KIND.read(found)
            ledger = ledger or self._planned(found, spec)
        except (UsageError, msgspec.DecodeError) as error:
            # Nothing comes of it until it, or a window, is another.
            await self._teller.reject(found, error)
            return None
        except NothingCanBeDoneError as refused:
            await self._teller.refuse(found, refused)
            return _LOOK_AGAIN
        except ForbiddenError as error:
            await self._teller.lack(found, error)
            return _LOOK_AGAIN
        if ledger is None:
            return None
        return await self._declared.go_on(
            found,
            ledger,
            is_approved=spec.approved is not False,
            is_paused=spec.paused,
            is_changed=asks_for_more(spec, ledger.record.began_with),
        )

    async def _begun(self, found: CustomObject) -> ClusterLedger | None:
        """The journal of a maintenance; nothing is asked for while its plan is being made."""
        if self._plans.is_under_way(found):
            return None
        return await self._declared.journals.find(found)

    def _planned(self, found: CustomObject, spec: NodeMaintenanceSpec) -> ClusterLedger | None:
        """The journal with the plan, once it is made; None while it is being made."""
        asked = asyncio.get_running_loop().time()
        return self._plans.outcome(
            found, lambda: guarded(self._scene, self._plan(found, spec, asked))
        )

    async def _plan(
        self, found: CustomObject, spec: NodeMaintenanceSpec, asked: float
    ) -> ClusterLedger:
        """Make a plan and write it down, if that is what is asked for still."""
        await as_it_is(self._scene.reader, _KIND, found)
        windows = window_specs(self._windows)
        count, plan = await plan_maintenance(self._scene, spec, windows, asked)
        await hold(self._scene.writer, _KIND, await as_it_is(self._scene.reader, _KIND, found))
        ledger = await self._declared.journals.begin(found, plan)
        await self._teller.say(found, "Planned", f"{ledger.record.id}: {count} nodes")
        return ledger
