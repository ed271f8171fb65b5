"""Reconciling MaintenanceWindows: who plans with them is woken when one is not as it was."""

from types import SimpleNamespace
from typing import Any

import msgspec

from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.api.windows import MAINTENANCE_WINDOW
from shipkeeper.operator.maintenance.windows import WindowReconciler, plans_with
from tests.operator.harbour import Harbour


async def test_a_window_whose_status_alone_changed_wakes_nobody(harbour: Harbour) -> None:
    woken: list[str] = []
    # Of the scene nothing else is used.
    scene: Any = SimpleNamespace(writer=harbour.writer)
    reconciler = WindowReconciler(scene, woken.append)

    async def found() -> CustomObject:
        return (await harbour.reader.list(MAINTENANCE_WINDOW.resource)).items[0]

    made = await harbour.create(MAINTENANCE_WINDOW, "night", {"cron": "0 0 1 1 *", "length": "1h"})
    await reconciler.reconcile("night", made)
    seen = await found()
    assert seen.metadata.resource_version != made.metadata.resource_version
    await reconciler.reconcile("night", seen)
    assert woken == ["night"]
    await harbour.writer.patch(MAINTENANCE_WINDOW.resource, "night", {"spec": {"length": "2h"}})
    await reconciler.reconcile("night", await found())
    assert len(woken) == 2
    await harbour.writer.delete(MAINTENANCE_WINDOW.resource, "night")
    await reconciler.reconcile("night", None)
    assert len(woken) == 3


def test_only_who_plans_with_a_window_is_woken() -> None:
    def asking(spec: str) -> CustomObject:
        body = f'{{"metadata": {{"name": "a"}}, "spec": {spec}}}'
        return msgspec.json.decode(body, type=CustomObject)

    assert plans_with(asking('{"windows": ["day", "night"]}'), "night")
    assert not plans_with(asking('{"windows": ["day"]}'), "night")
    assert not plans_with(asking('{"nodes": {}}'), "night")
    assert not plans_with(asking('{"windows": "night"}'), "night")
