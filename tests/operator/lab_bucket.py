"""An object store inside a lab's network, which its pods reach."""

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from shipkeeper.sandbox.lab import Lab
from shipkeeper.sandbox.lab.record import SWITCH_ADDRESS
from tests.cli.run import SHIPKEEPER
from tests.nodes.fleet.lab_user import eventually
from tests.store import s3

ENDPOINT = f"http://{SWITCH_ADDRESS}:9000"
URL = f"s3://{s3.BUCKET}/lab"
_UP = f"import urllib.request; urllib.request.urlopen('{ENDPOINT}/up', timeout=5)"


class LabBucket:
    """A repository in it, with its keys in files."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab = lab
        self.key = folder / "writer.key"
        self.identity = folder / "reader.age"

    def run(self, *words: str) -> str:
        """What a backup command prints, run where the pods are."""
        keys = ("--key", str(self.key), "--identity", str(self.identity))
        done = subprocess.run(
            self._lab.inside(
                *(SHIPKEEPER, "backup", *words, "--repo", URL, "--endpoint", ENDPOINT, *keys)
            ),
            env={**os.environ, "AWS_ACCESS_KEY_ID": s3.ACCESS, "AWS_SECRET_ACCESS_KEY": s3.SECRET},
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert not done.returncode, done.stderr
        return done.stdout


@contextmanager
def bucket_in(lab: Lab, folder: Path) -> Generator[LabBucket]:
    """A new repository in a bucket that is served while the context lasts."""
    (folder / "data" / s3.BUCKET).mkdir(parents=True)
    (folder / "meta").mkdir()
    command = [str(s3.server_binary()), "--quiet", "--access", s3.ACCESS, "--secret", s3.SECRET]
    command += ["--port", f"{SWITCH_ADDRESS}:9000", "--health", "/up"]
    command += ["posix", "--sidecar", str(folder / "meta"), str(folder / "data")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(lab.inside(*command), stdout=log, stderr=log, cwd=folder)
    try:
        probe = lab.inside(sys.executable, "-c", _UP)
        eventually(
            lambda: not subprocess.run(probe, capture_output=True, check=False).returncode,
            (folder / "log").read_text,
        )
        found = LabBucket(lab, folder)
        found.run("init")
        yield found
    finally:
        server.kill()
        server.wait()
