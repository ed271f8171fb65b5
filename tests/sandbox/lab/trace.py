"""What a lab leaves on this machine, found without asking the lab."""

import json
import os
import re
import subprocess
from pathlib import Path

from shipkeeper.sandbox.lab.layout import LabLayout


def traces(name: str) -> set[str]:
    """The kinds of things that exist of a lab: none, after it was taken down."""
    layout = LabLayout.of(name)
    found = {
        "namespace": Path("/run/netns", layout.tag).exists(),
        "cgroup": any(layout.tag in folders for _, folders, _ in _cgroup_tops()),
        "mount": any(word in Path("/proc/mounts").read_text() for word in _words(layout)),
        "process": bool(processes(layout)),
        "directory": layout.directory.exists() or layout.unfinished.exists(),
    }
    return {kind for kind, is_there in found.items() if is_there}


def processes(layout: LabLayout) -> set[int]:
    """Every process that has the lab's directory in its environment or its mounts."""
    found: set[int] = set()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            told = (place / "environ").read_bytes() + (place / "mountinfo").read_bytes()
        except OSError:
            continue
        if any(word.encode() in told for word in _words(layout)) and int(place.name) != os.getpid():
            found.add(int(place.name))
    return found


def node(kubectl: "Kubectl", name: str) -> tuple[str, bool]:
    """The boot ID that a node reports, and whether it is Ready."""
    status = json.loads(kubectl("get", "node", name, "-o", "json"))["status"]
    (ready,) = (each for each in status["conditions"] if each["type"] == "Ready")
    return status["nodeInfo"]["bootID"], ready["status"] == "True"


class Kubectl:
    """Kubectl inside of a lab's network, as its administrator."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        done = subprocess.run(
            [*self._command, "--request-timeout=30s", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=1200,
            check=False,
        )
        assert not done.returncode, done.stderr
        return done.stdout


def _words(layout: LabLayout) -> tuple[str, str]:
    return f"{layout.directory}/", layout.tag


def _cgroup_tops() -> list[tuple[str, list[str], list[str]]]:
    root = Path("/sys/fs/cgroup")
    tops = [root, *(each for each in root.iterdir() if re.fullmatch(r"[a-z,]+", each.name))]
    return [next(os.walk(top)) for top in tops if top.is_dir()]
