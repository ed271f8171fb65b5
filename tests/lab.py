"""The lab that the tests of several folders share: one control-plane host and three workers."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from shipkeeper.sandbox.assets import OLDEST
from shipkeeper.sandbox.lab import Lab, LabUnsupportedError, require_lab_machine
from tests.running import begun, end


def require_lab() -> None:
    """Skip the test where this machine cannot carry a lab; in CI that is a failure."""
    try:
        require_lab_machine()
    except LabUnsupportedError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(error.message)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A running lab; whoever takes a host down brings it back."""
    require_lab()
    name = f"test-lab-{os.getpid()}"
    made = Lab.up(name, OLDEST, lambda line: print(line, file=sys.stderr))  # noqa: T201
    begun("lab", made)
    yield made
    end("lab")


Ssh = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def ssh(lab: Lab) -> Ssh:
    """Runs a command on a host over SSH as `user@host`, trusting the known hosts alone."""
    return partial(ssh_to, lab)


def ssh_to(lab: Lab, target: str, command: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run a command on a host of a lab."""
    words = lab.inside(
        # Of options given twice, ssh takes the first.
        *("ssh", *options, "-i", str(lab.ssh_key), "-o", "BatchMode=yes"),
        *("-o", f"UserKnownHostsFile={lab.known_hosts}", "-o", "StrictHostKeyChecking=yes"),
        *(target, command),
    )
    return subprocess.run(words, capture_output=True, text=True, timeout=600, check=False)
