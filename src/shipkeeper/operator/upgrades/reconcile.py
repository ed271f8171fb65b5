"""Reconciling ClusterUpgrades: look again and again, run what was approved, stop safely."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from shipkeeper.errors import ShipkeeperError, UsageError
from shipkeeper.kube.errors import ConflictError, NotFoundError
from shipkeeper.model.duration import parse_duration
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.api.upgrades import (
    CLUSTER_UPGRADE,
    ClusterUpgradeSpec,
    ClusterUpgradeStatus,
)
from shipkeeper.operator.current import as_it_is
from shipkeeper.operator.declared import DeclaredRuns
from shipkeeper.operator.errands import Errands
from shipkeeper.operator.guarding import guarded
from shipkeeper.operator.ledger import ClusterLedger
from shipkeeper.operator.maintenance.planning import window_specs
from shipkeeper.operator.pace import Rests
from shipkeeper.operator.queue import WorkQueue
from shipkeeper.operator.runs import Runs
from shipkeeper.operator.scene import Scene
from shipkeeper.operator.status import hold
from shipkeeper.operator.upgrades.look import Look
from shipkeeper.operator.upgrades.looking import look_at
from shipkeeper.operator.upgrades.options import asks_for_else
from shipkeeper.operator.upgrades.run_standing import APPROVED
from shipkeeper.operator.upgrades.standing import has_ended, looked_at, waits_for_turn
from shipkeeper.operator.upgrades.telling import Teller, status_of
from shipkeeper.upgrade import procedure

_KIND = CLUSTER_UPGRADE
_AFTER_FAILURE = timedelta(minutes=1)
# Looks that follow each other faster would be a load and no news.
_SHORTEST = timedelta(minutes=1)
_AT_ONCE = timedelta(0)


class UpgradeReconciler:
    """Reconciles ClusterUpgrades; looks, and the run, go on beside."""

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
        self._runs = runs
        self._teller = Teller(scene)
        self._declared = DeclaredRuns(
            scene, _KIND, queue, runs, everything, procedure, self._teller
        )
        # A look goes through every object of the cluster.
        self._looks: Errands[Look] = Errands(queue.add, scene.heavy, of_spec=True)
        self._rests = Rests(_AFTER_FAILURE)

    async def stop(self) -> None:
        """Stop looking, and every run where it is."""
        await self._looks.stop()
        await self._declared.stop()

    async def reconcile(self, key: str, found: CustomObject | None) -> timedelta | None:
        """Look at an upgrade, and do what is next."""
        if found is None:
            self._looks.drop(key)
            return await self._declared.vanished(key)
        await self._declared.note(found)
        status = status_of(found)
        is_over = has_ended(status, found.metadata.generation)
        if found.metadata.deletion_timestamp is not None:
            # It may be about to write a run down, which is then to be taken back.
            await self._looks.halt(key)
            return await self._declared.end(found, has_ended=is_over)
        if is_over:
            return await self._declared.release(found)
        try:
            spec = _KIND.read(found)
            ledger = await self._declared.journals.find(found)
            if ledger is None:
                return await self._look(found, status, spec)
        except (UsageError, msgspec.DecodeError) as error:
            # Nothing comes of it until it, or a window, is another.
            await self._teller.reject(found, error)
            return None
        return await self._go_on(found, spec, ledger)

    async def _go_on(
        self, found: CustomObject, spec: ClusterUpgradeSpec, ledger: ClusterLedger
    ) -> timedelta | None:
        plan = ledger.record.began_with
        is_withdrawn = spec.approved_plan != plan.request[APPROVED]
        return await self._declared.go_on(
            found,
            ledger,
            is_paused=spec.paused,
            is_changed=is_withdrawn or asks_for_else(spec, plan),
        )

    async def _look(
        self, found: CustomObject, status: ClusterUpgradeStatus, spec: ClusterUpgradeSpec
    ) -> timedelta | None:
        """Look if it is time, and tell what was found; when to look again."""
        pause = self._pause(found, status, spec)
        if pause and not self._looks.is_under_way(found):
            return pause
        try:
            look = self._looks.outcome(
                found, lambda: guarded(self._scene, self._look_at(found, spec))
            )
        except (UsageError, ConflictError, NotFoundError):
            raise
        except ShipkeeperError as error:
            self._rests.begin(_asked(found), asyncio.get_running_loop().time())
            await self._teller.unseen(found, error)
            return _AFTER_FAILURE
        if look is None:
            return None
        await self._teller.looked(found, spec, look, self._declared.journals.home(found))
        return _SHORTEST

    def _pause(
        self, found: CustomObject, status: ClusterUpgradeStatus, spec: ClusterUpgradeSpec
    ) -> timedelta:
        """How long until the next look."""
        rest = self._rests.left(_asked(found), asyncio.get_running_loop().time())
        now = datetime.now(UTC)
        last = looked_at(status, found.metadata.generation, now)
        if rest or last is None:
            return rest
        if waits_for_turn(status) and not self._runs.busy:
            return _AT_ONCE
        every = max(parse_duration(spec.check_every), _SHORTEST)
        return max(last + every - now, _AT_ONCE)

    async def _look_at(self, found: CustomObject, spec: ClusterUpgradeSpec) -> Look:
        """Look, and write the run down if this very plan was approved."""
        await as_it_is(self._scene.reader, _KIND, found)
        look = await look_at(self._scene, spec, window_specs(self._windows))
        look = msgspec.structs.replace(look, busy=self._runs.busy)
        if look.may_begin(spec):
            await hold(self._scene.writer, _KIND, await as_it_is(self._scene.reader, _KIND, found))
            request = {**look.plan.request, APPROVED: look.agreed}
            plan = msgspec.structs.replace(look.plan, request=request)
            await self._declared.journals.begin(found, plan)
        return look


def _asked(found: CustomObject) -> str:
    """What an object asks for: another once its spec changes."""
    return f"{found.uid}/{found.metadata.generation}"
