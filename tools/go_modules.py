"""Source trees of Go modules, by way of the Go toolchain and its module proxy."""

import json
import os
import shutil
import subprocess
from pathlib import Path

_USUAL_PLACE = "/usr/local/go/bin"


def download(module: str, version: str) -> Path:
    """The tree of a module at a version, in Go's own cache; RuntimeError if it cannot be had."""
    path = f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{_USUAL_PLACE}"
    go = shutil.which("go", path=path)
    if go is None:
        raise RuntimeError("there is no Go toolchain on PATH")
    answer = subprocess.run(
        [go, "mod", "download", "-json", f"{module}@{version}"],
        cwd="/",
        env={**os.environ, "GO111MODULE": "on", "GOWORK": "off", "GOFLAGS": "-mod=mod"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(answer.stdout or "{}")
    if not found.get("Dir"):
        raise RuntimeError(f"{module}@{version}: {found.get('Error') or answer.stderr.strip()}")
    return Path(found["Dir"])
