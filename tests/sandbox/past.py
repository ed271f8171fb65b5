"""Taking a sandbox back to an earlier moment: its etcd restored underneath everything, by us."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shipkeeper.sandbox import names
from shipkeeper.sandbox.layout import Layout
from shipkeeper.sandbox.record import read_record
from shipkeeper.sandbox.sandbox import Sandbox
from tests.cli.run import SHIPKEEPER
from tests.forks import run_forked

_MEMBER = "sandbox"
# It has no peers; the address is written down and never dialled.
_PEERS = "https://127.0.0.1:1"


def remember(sandbox: Sandbox, snapshot: Path) -> Path:
    """Save etcd as it is now. Blocking."""
    layout = Layout.of(sandbox.name)
    _etcd(
        "save",
        str(snapshot),
        f"--endpoints=https://127.0.0.1:{read_record(layout).ports.etcd}",
        f"--cacert={layout.certificate(names.ETCD_CA)}",
        f"--cert={layout.certificate(names.ETCD_CLIENT)}",
        f"--key={layout.key(names.ETCD_CLIENT)}",
    )
    return snapshot


def go_back(
    sandbox: Sandbox, snapshot: Path, *how: str, meanwhile: Callable[[], Any] = lambda: None
) -> Any:
    """Restore etcd as an administrator does: everything stops, and starts on the old state.

    `how` are further flags of the restore. Returns what `meanwhile` returns, which is called while
    everything is stopped.
    """
    for each in reversed(names.COMPONENTS):
        sandbox.stop_component(each)
    found = meanwhile()
    data = Layout.of(sandbox.name).etcd_data
    shutil.rmtree(data)
    _etcd(
        *("restore", str(snapshot), f"--name={_MEMBER}", f"--data-dir={data}", *how),
        f"--initial-cluster={_MEMBER}={_PEERS}",
        f"--initial-advertise-peer-urls={_PEERS}",
    )
    for each in names.COMPONENTS:
        sandbox.start_component(each)
    return found


def _etcd(*arguments: str) -> None:
    done = run_forked([SHIPKEEPER, "etcd", *arguments], os.environ, timeout=600)
    assert done.returncode == 0, done.stderr
