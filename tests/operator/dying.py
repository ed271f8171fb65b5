"""A replica of the operator in a process of its own, which may kill itself at one of its writes."""

import asyncio
import os
import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from shipkeeper.engine.tenure import LeaseTimes
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection
from shipkeeper.operator.restore_process import serve_restore
from shipkeeper.operator.run import OperatorOptions, operate


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """As whom and where it runs, and when it dies: at the n-th write (0 for never).

    `is_sent` says whether the write is answered before. Times are in seconds; `clock` is a file
    with the seconds by which its clock is wrong.
    """

    kubeconfig: str
    namespace: str
    directory: str
    node: str = ""
    metrics: str = ""
    image: str = ""
    duration: float = 3.0
    renew_every: float = 1.0
    patience: float = 600.0
    clock: str = ""
    dies_at: int = 0
    is_sent: bool = True


def _let_die(request: Request) -> None:
    """Die at a write, once other evictions were answered: tests/nodes/calls.py tells why."""
    left, evicting = request.dies_at, 0
    send = Connection.send

    async def send_or_die(self: Connection, method: str, path: str, **details: Any) -> bytes:
        nonlocal left, evicting
        while left == 0:
            await asyncio.sleep(1)
        is_write = method != "GET" and "reviews" not in path and "/leases" not in path
        left -= is_write
        is_last = is_write and left == 0
        if is_last and not request.is_sent:
            await die()
        is_eviction = path.endswith("/eviction")
        evicting += is_eviction
        try:
            answer = await send(self, method, path, **details)
        finally:
            evicting -= is_eviction
        if is_last:
            await die()
        return answer

    async def die() -> None:
        while evicting:
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)

    Connection.send = send_or_die


class _AnyMoment(type):
    def __instancecheck__(cls, found: object) -> bool:
        return isinstance(found, datetime)


def _set_clock(file: Path) -> None:
    """Let every module of ours see a clock that goes wrong by what a file says."""

    class WrongClock(datetime, metaclass=_AnyMoment):
        def __new__(cls, *parts: Any, **more: Any) -> Any:
            return datetime(*parts, **more)

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=float(file.read_text()))

    for name, module in tuple(sys.modules.items()):
        if name.startswith("shipkeeper.") and getattr(module, "datetime", None) is datetime:
            module.datetime = WrongClock  # type: ignore[attr-defined]


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _options(request: Request) -> OperatorOptions:
    return OperatorOptions(
        connection=ConnectionOptions(kubeconfig=request.kubeconfig),
        namespace=request.namespace,
        directory=Path(request.directory),
        node=request.node,
        metrics=request.metrics,
        image=request.image,
        times=LeaseTimes(
            duration=timedelta(seconds=request.duration),
            renew_every=timedelta(seconds=request.renew_every),
            patience=timedelta(seconds=request.patience),
        ),
    )


async def _operate(request: Request) -> None:
    working = asyncio.ensure_future(operate(_options(request), _say))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    await asyncio.wait([working])


async def _serve(request: Request, name: str, uid: str) -> None:
    await serve_restore(_options(request), name, uid, _say)


def serve(request: Request, name: str, uid: str) -> None:
    """Be the process of a Restore's Job until its end; to be called in a process of its own."""
    if request.dies_at:
        _let_die(request)
    asyncio.run(_serve(request, name, uid))


def replicate(request: Request) -> None:
    """Be a replica until its end; to be called in a process of its own."""
    if request.dies_at:
        _let_die(request)
    if request.clock:
        _set_clock(Path(request.clock))
    asyncio.run(_operate(request))
