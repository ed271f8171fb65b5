"""Running the command as a user does."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from shipkeeper.sandbox.sandbox import Sandbox
from tests.forks import run_forked

SHIPKEEPER = str(Path(sys.executable).parent / "shipkeeper")


async def run_cli(
    sandbox: Sandbox, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run shipkeeper as a sandbox's administrator, unless the environment says otherwise."""
    told = {**os.environ, "KUBECONFIG": str(sandbox.kubeconfig), **(environment or {})}
    return await asyncio.to_thread(run_forked, [SHIPKEEPER, *arguments], told, timeout=120)
