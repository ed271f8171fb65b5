"""The agent's command line: written by whoever starts it, read by the agent."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

_LEASE_SECONDS = 10.0
_REPORT_SECONDS = 300.0


class AgentOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which cluster the agent serves, where it listens, and how often its nodes report."""

    kubeconfig: str
    socket: Path
    lease_seconds: float = _LEASE_SECONDS
    report_seconds: float = _REPORT_SECONDS


def command(
    kubeconfig: Path,
    socket: Path,
    *,
    lease_seconds: float = _LEASE_SECONDS,
    report_seconds: float = _REPORT_SECONDS,
) -> tuple[str, ...]:
    """The command line that runs the agent of hollow nodes until it gets SIGTERM.

    The defaults are the kubelet's: leases every 10 s, whole status every 5 min. A controller
    manager with a short `--node-monitor-grace-period` needs leases about four times as often.
    """
    options = {
        "--kubeconfig": str(kubeconfig),
        "--socket": str(socket),
        "--lease-seconds": str(lease_seconds),
        "--report-seconds": str(report_seconds),
    }
    written = [word for option in options.items() for word in option]
    return (sys.executable, "-m", "shipkeeper.sandbox.hollow", *written)


def parse_options(arguments: Sequence[str]) -> AgentOptions:
    """Read the command line that `command` wrote."""
    parser = argparse.ArgumentParser(prog="hollow", description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--lease-seconds", type=float, default=_LEASE_SECONDS)
    parser.add_argument("--report-seconds", type=float, default=_REPORT_SECONDS)
    return AgentOptions(**vars(parser.parse_args(arguments)))
