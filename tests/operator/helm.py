"""Helm itself: from PATH, from the cache, or built there from the Go module proxy."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from shipkeeper.paths import cache_dir
from shipkeeper.sandbox.assets import golang
from shipkeeper.sandbox.assets.engines import NotServedError

_VERSION = "v3.22.0"
CHART = Path(__file__).parent.parent.parent / "charts" / "shipkeeper"


def find_helm() -> str:
    """The program; where it cannot be built the test is skipped, but in CI it fails."""
    if found := shutil.which("helm"):
        return found
    directory = cache_dir() / "helm" / _VERSION
    if not directory.exists():
        try:
            _build(directory)
        except NotServedError as error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"no helm: {error}")
    return str(directory / "helm")


def _build(directory: Path) -> None:
    package = f"helm.sh/helm/v3/cmd/helm@{_VERSION}"
    partial = directory.parent / f".{_VERSION}.{os.getpid()}"
    environment = {**os.environ, "GOBIN": str(partial), "GOFLAGS": "-mod=mod"}
    built = subprocess.run(
        [golang.find_go(), "install", package],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if built.returncode != 0:
        raise NotServedError((built.stderr.strip().splitlines() or ["?"])[-1])
    try:
        partial.rename(directory)
    except OSError:
        # Another test process was faster.
        shutil.rmtree(partial)


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Helm, with nothing of this user's."""
    return subprocess.run(
        [find_helm(), *arguments],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
