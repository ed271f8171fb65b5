"""A real S3 server for the tests: versitygw, built once with Go and kept in the cache."""

import fcntl
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from shipkeeper.paths import cache_dir
from shipkeeper.sandbox.assets.engines import NotServedError
from shipkeeper.sandbox.assets.golang import find_go

VERSION = "v1.8.0"
PACKAGE = "github.com/versity/versitygw/cmd/versitygw"
ACCESS, SECRET = "shipkeeper", "shipkeeper-secret"
BUCKET = "backups"


def server_binary() -> Path:
    """The server; NotServedError without Go. The first build takes some minutes."""
    folder = cache_dir() / "tools"
    folder.mkdir(parents=True, exist_ok=True)
    binary = folder / f"versitygw-{VERSION}"
    with (folder / "versitygw.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            with tempfile.TemporaryDirectory(dir=folder) as scratch:
                build(Path(scratch)).rename(binary)
    return binary


def skip(error: NotServedError) -> NoReturn:
    """Where no server can be built the test is skipped, but in CI it fails."""
    if os.environ.get("CI") == "true":
        raise error
    pytest.skip(f"no S3 server: {error}")


@contextmanager
def offered(folder: Path) -> Generator[str]:
    """The same as `serving`, with its credentials in the environment; skips where it cannot be."""
    try:
        server_binary()
    except NotServedError as error:
        skip(error)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        with serving(folder) as endpoint:
            yield endpoint


def build(scratch: Path) -> Path:
    subprocess.run(
        [find_go(), "install", "-trimpath", "-ldflags=-s -w", f"{PACKAGE}@{VERSION}"],
        env={**os.environ, "GOBIN": str(scratch), "CGO_ENABLED": "0", "GOWORK": "off"},
        check=True,
        timeout=900,
    )
    return scratch / "versitygw"


@contextmanager
def serving(folder: Path) -> Generator[str]:
    """Serve an empty bucket from a folder; yields the endpoint."""
    (folder / "data" / BUCKET).mkdir(parents=True)
    (folder / "meta").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [server_binary(), "--quiet", "--access", ACCESS, "--secret", SECRET]
    command += ["--port", f"127.0.0.1:{port}", "--health", "/up"]
    command += ["posix", "--sidecar", folder / "meta", folder / "data"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        wait_until_up(process, port, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def wait_until_up(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/up", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise AssertionError(f"the S3 server does not come up: {log.read_text()}")
