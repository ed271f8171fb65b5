"""A run's driver: whoever waits for it to stop can be stopped as well."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from shipkeeper.operator.driver import Driver


class Slow(Driver):
    """A run whose end takes until it is let go."""

    ending: asyncio.Event
    let_go: asyncio.Event

    async def _drive(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ending.set()
            await self.let_go.wait()


Kind = TypeVar("Kind", bound=Driver)


def of_nothing(kind: type[Kind], directory: Path) -> Kind:
    # Of the scene only its folder is used, and of the run only its name.
    scene: Any = SimpleNamespace(directory=directory)
    ledger: Any = SimpleNamespace(record=SimpleNamespace(id="run"))
    procedure: Any = None
    return kind(scene, ledger, procedure, lambda: None, is_given_up=False)


def slow(directory: Path) -> Slow:
    driver = of_nothing(Slow, directory)
    driver.ending, driver.let_go = asyncio.Event(), asyncio.Event()
    return driver


async def test_who_waits_for_a_run_to_stop_can_be_cancelled(tmp_path: Path) -> None:
    driver = slow(tmp_path)
    driver.start()
    await asyncio.sleep(0)
    worker = asyncio.create_task(driver.stop())
    await driver.ending.wait()
    worker.cancel()
    driver.let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await worker


async def test_a_run_is_over_once_it_stopped(tmp_path: Path) -> None:
    driver = slow(tmp_path)
    driver.start()
    driver.let_go.set()
    await asyncio.sleep(0)
    await driver.stop()
    assert driver.is_over


class Short(Driver):
    """A run that ends as soon as it is begun."""

    async def _hold_lock(self) -> None:
        self.pause(is_paused=True)
        assert below(self._directory) == ["paused"]


def below(directory: Path) -> list[str]:
    return [each.name for each in directory.iterdir()]


async def test_a_run_leaves_no_files_behind(tmp_path: Path) -> None:
    driver = of_nothing(Short, tmp_path)
    assert below(tmp_path) == ["run"]
    driver.start()
    async with asyncio.timeout(400):
        while not driver.is_over:
            await asyncio.sleep(0)
    assert driver.error is None
    assert below(tmp_path) == []
    driver.pause(is_paused=True)
    driver.pause(is_paused=False)
