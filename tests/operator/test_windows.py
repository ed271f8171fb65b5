"""Reconciling MaintenanceWindows: who plans with them is woken when one is not as it was."""

from types import SimpleNamespace
from typing import Any

from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.api.windows import MAINTENANCE_WINDOW
from shipkeeper.operator.maintenance.windows import WindowReconciler
from tests.operator.harbour import Harbour


async def test_a_window_whose_status_alone_changed_wakes_nobody(harbour: Harbour) -> None:
    woken: list[None] = []
    # Of the scene nothing else is used.
    scene: Any = SimpleNamespace(writer=harbour.writer)
    reconciler = WindowReconciler(scene, lambda: woken.append(None))

    async def found() -> CustomObject:
        return (await harbour.reader.list(MAINTENANCE_WINDOW.resource)).items[0]

    made = await harbour.create(MAINTENANCE_WINDOW, "night", {"cron": "0 0 1 1 *", "length": "1h"})
    await reconciler.reconcile("night", made)
    seen = await found()
    assert seen.metadata.resource_version != made.metadata.resource_version
    await reconciler.reconcile("night", seen)
    assert len(woken) == 1
    await harbour.writer.patch(MAINTENANCE_WINDOW.resource, "night", {"spec": {"length": "2h"}})
    await reconciler.reconcile("night", await found())
    assert len(woken) == 2
    await harbour.writer.delete(MAINTENANCE_WINDOW.resource, "night")
    await reconciler.reconcile("night", None)
    assert len(woken) == 3
