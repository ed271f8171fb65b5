"""A save that is not waited for any more."""

import asyncio
import threading
import time

import pytest

from shipkeeper.etcd.errors import EtcdError
from shipkeeper.etcd.save import Progress, watched


async def test_an_interrupted_save_ends_soon() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work(tell: Progress) -> None:
        try:
            while True:
                tell(1, 1)
                begun.set()
                time.sleep(0.001)
        finally:
            ended.set()

    task = asyncio.create_task(watched(work, lambda came, left: None))
    assert await asyncio.to_thread(begun.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended.wait, 20)


async def test_what_goes_wrong_is_raised() -> None:
    def work(tell: Progress) -> None:
        raise EtcdError("no", reason="No")

    with pytest.raises(EtcdError, match="no"):
        await watched(work, lambda came, left: None)
