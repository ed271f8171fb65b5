"""A sandbox for benchmarks, and what is measured in it from outside."""

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import connect
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer
from shipkeeper.sandbox.rollout import apply, wait_ready
from shipkeeper.sandbox.sandbox import Sandbox

BIN = Path(sys.executable).parent
KUBECTL = str(BIN / "kubectl")
SHIPKEEPER = str(BIN / "shipkeeper")


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a command: seconds by the wall clock, CPU seconds, MiB resident at most."""

    wall: float
    cpu: float
    peak_mib: float
    exit_code: int
    output: str
    tail: str


@contextmanager
def bench_sandbox(version: str, *, node_grace: int | None = None) -> Generator[Sandbox]:
    """A sandbox of its own, gone afterwards; nodes may be silent for `node_grace` seconds."""
    sandbox = Sandbox.up(
        f"bench-{os.getpid()}", version, say, node_monitor_grace_seconds=node_grace
    )
    try:
        yield sandbox
    finally:
        sandbox.down()


def say(line: str) -> None:
    """Talk goes to stderr; stdout is for the figures."""
    print(line, file=sys.stderr, flush=True)


def bring_up(
    sandbox: Sandbox, namespace: str, manifests: Iterable[dict[str, Any]], *, within: timedelta
) -> None:
    """Apply workloads and wait until all of them are Ready."""

    async def go() -> None:
        options = ConnectionOptions(kubeconfig=str(sandbox.kubeconfig))
        async with connect(options) as connection:
            reader = Reader(connection)
            await apply(reader, Writer(connection), manifests)
            await wait_ready(reader, namespace, timeout=within)

    asyncio.run(go())


def measure(command: Sequence[str], environment: dict[str, str]) -> Measured:
    """Run a command to its end and measure it and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    wall = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(
        wall=wall,
        cpu=cpu,
        peak_mib=after.ru_maxrss / 1024,
        exit_code=done.returncode,
        output=done.stdout,
        tail="\n".join((done.stdout + done.stderr).splitlines()[-5:]),
    )


def count_requests(audit_log: Path, user: str) -> int:
    """How many requests of a user the API server's audit log holds."""
    with audit_log.open() as lines:
        return sum(json.loads(line)["user"]["username"] == user for line in lines)


def print_figures(figures: dict[str, Any], *, as_json: bool) -> None:
    """One JSON object, or a line for each figure."""
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    for key, value in figures.items():
        print(f"{key:40} {value}")
