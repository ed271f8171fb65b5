"""SIGKILL at every write of a backup: older backups stay whole, a rerun converges."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from shipkeeper.store.keys import save_writer_key
from shipkeeper.store.location import open_location
from shipkeeper.store.prune import GRACE, prune
from shipkeeper.store.verify import verify
from tests.store.dying import CONTENT_SEED, OBJECTS
from tests.store.stock import WRITER, load, new_repository, plain, reopen, sample, save


@pytest.mark.parametrize("moment", ["before", "during", "after"])
async def test_killed_at_every_write(tmp_path: Path, moment: str) -> None:
    folder, key = tmp_path / "repository", tmp_path / "writer.key"
    save_writer_key(key, WRITER)
    repository = await new_repository(open_location(str(folder)))
    old = await save(repository, sample(30))
    names = {old.name}
    write = 0
    for write in range(50):
        code = await run(folder, key, write, moment)
        repository = await reopen(open_location(str(folder)))
        visible = {backup.name for backup in await repository.backups()}
        assert names <= visible
        # Only the very last write, when it is over, makes a backup visible.
        assert len(visible) <= len(names) + 1
        new, names = visible - names, visible
        assert await load(repository, old) == plain(sample(30))
        harm = [f for f in (await verify(repository)).findings if not f.harmless]
        assert len(harm) <= 1
        # Killed between the last index and the record: it cannot be told from a removed record.
        assert all("right before its last put" in f.message for f in harm)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert not new or moment == "after"
        await prune(repository, GRACE * 0)
        await prune(repository, GRACE * 0)
        assert (await verify(repository)).findings == ()
    assert write >= 4
    newest = await repository.find("latest")
    assert await load(repository, newest) == plain(sample(OBJECTS, seed=CONTENT_SEED))


async def run(folder: Path, key: Path, write: int, moment: str) -> int:
    command = [sys.executable, "-m", "tests.store.dying", str(folder), str(key), str(write), moment]
    process = await asyncio.create_subprocess_exec(*command)
    return await asyncio.wait_for(process.wait(), 60)
