"""Tools to measure beside, built from their own trees as the Go module proxy has them.

`go install MODULE@VERSION` refuses modules with replace directives, and where some module of the
whole graph cannot be had; in its own tree a tool needs but what it is built of.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from shipkeeper.errors import ShipkeeperError
from shipkeeper.paths import cache_dir
from shipkeeper.sandbox.assets.golang import find_go
from world import say

LIMIT = 3600  # seconds of a build


class ToolError(Exception):
    """A tool cannot be built or run here, and why."""


def built(module: str, version: str, package: str, *, checksum: str = "") -> Path:
    """The program of a package, built once and kept in the cache; ToolError where it cannot be.

    `checksum` is what the module must have if not every checksum database knows it.
    """
    name = package.rpartition("/")[2]
    program = cache_dir() / "bench-tools" / f"{name}-{version}"
    if program.exists():
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    try:
        go = str(find_go())
    except ShipkeeperError as error:
        raise ToolError(error.message) from error
    say(f"building {name} {version}")
    told = {**os.environ, "GOWORK": "off", **({"GONOSUMDB": module} if checksum else {})}
    with tempfile.TemporaryDirectory() as scratch:
        answer = run([go, "mod", "download", "-json", f"{module}@{version}"], cwd=scratch, env=told)
        found = json.loads(answer)
        if checksum and found["Sum"] != checksum:
            raise ToolError(f"{module} {version} has another checksum: {found['Sum']}")
        tree = shutil.copytree(found["Dir"], Path(scratch, "tree"))
        run(["chmod", "-R", "u+w", str(tree)])
        unfinished = program.with_suffix(".unfinished")
        run([go, "build", "-trimpath", "-o", str(unfinished), package], cwd=str(tree), env=told)
    return unfinished.rename(program)


def run(
    command: list[str],
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    given: str | None = None,
) -> str:
    """What a command prints; ToolError if it fails."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=env,
            input=given,
            capture_output=True,
            text=True,
            check=True,
            timeout=LIMIT,
        )
    except subprocess.CalledProcessError as error:
        raise ToolError(f"{' '.join(command[:3])}: {error.stderr.strip()[-500:]}") from error
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"{' '.join(command[:3])} took longer than {LIMIT} s") from error
    return done.stdout
