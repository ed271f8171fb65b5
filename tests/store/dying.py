"""A process that makes a backup and kills itself at a chosen moment of a chosen write.

python -m tests.store.dying FOLDER KEY WRITE before|during|after
"""

import asyncio
import importlib
import os
import signal
import sys
from pathlib import Path

from shipkeeper.store import folder as folders
from shipkeeper.store.folder import Folder
from shipkeeper.store.keys import load_writer_key
from shipkeeper.store.repository import Repository
from tests.store.stock import sample, save

CONTENT_SEED = 8
OBJECTS = 60


class DyingFolder(Folder):
    """Counts its creations."""

    def __init__(self, root: Path, write: int, moment: str) -> None:
        super().__init__(root)
        self._left, self._moment = write, moment

    async def create(self, name: str, content: bytes) -> None:
        mine, self._left = self._left == 0, self._left - 1
        if mine and self._moment == "before":
            die()
        if mine and self._moment == "during":
            # Half of the content is in the file under way.
            folders._write = half_written  # pyright: ignore[reportPrivateUsage]
        await super().create(name, content)
        if mine:
            die()


def half_written(path: Path, content: bytes) -> None:
    path.write_bytes(content[: len(content) // 2])
    die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def main() -> None:
    folder, key, write, moment = sys.argv[1:]
    for name, size in (("SEGMENT_BYTES", 3000), ("TARGET_BYTES", 6000)):
        setattr(importlib.import_module("shipkeeper.store.writer"), name, size)
    blobs = DyingFolder(Path(folder), int(write), moment)
    repository = await Repository.open(blobs, writer=load_writer_key(Path(key)))
    await save(repository, sample(OBJECTS, seed=CONTENT_SEED))


if __name__ == "__main__":
    asyncio.run(main())
