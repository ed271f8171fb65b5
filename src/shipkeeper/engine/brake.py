"""Holding a run back: a file beside its lock, or the time, says that nothing new begins."""

import asyncio
from collections.abc import Callable
from pathlib import Path

_LOOK_EVERY = 0.5  # seconds


def _never() -> bool:
    return False


class Brake:
    """The brake of one run, worked by a file in its directory, if it has one, and by a rule."""

    def __init__(self, directory: Path | None, rule: Callable[[], bool] = _never) -> None:
        self._file = directory / "paused" if directory else None
        self._rule = rule
        self._was_on = self.is_on

    @property
    def is_on(self) -> bool:
        """Whether steps that claim something are held back."""
        return (self._file is not None and self._file.exists()) or self._rule()

    async def change(self) -> None:
        """Wait until the brake is put on, or let go."""
        before = self._was_on
        # Another process makes the file, time passes; there is no event to wait for.
        while self.is_on == before:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_EVERY if self._file else 3600)
        self._was_on = self.is_on

    def put_on(self) -> bool:
        """Hold new steps back; False if they are already."""
        if self._file is None or self._file.exists():
            return False
        self._file.touch(mode=0o600)
        return True

    def let_go(self) -> bool:
        """Let new steps begin again; False if they do."""
        if self._file is None or not self._file.exists():
            return False
        self._file.unlink()
        return True
