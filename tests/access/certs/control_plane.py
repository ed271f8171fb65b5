"""A real control plane whose certificates are renewed and whose authorities are rotated."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shipkeeper.sandbox.lab import Lab
from tests.nodes.fleet.lab_user import Command, LabUser, eventually

LIMIT = 1500.0  # seconds for a whole command: three hosts, one after the other
ASKING = Path(__file__).with_name("asking.py")
_KUBECTL = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf")


class ControlPlane:
    """A lab, its administrator, and the kubeconfig that clients read anew."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.lab = lab
        self.directory = directory
        self.user = LabUser(lab, directory)
        self.hosts = [each for each in lab.hosts if each.role == "control-plane"]
        self.first = self.hosts[0].name
        self._count = 0

    @property
    def ssh(self) -> tuple[str, ...]:
        """The flags that open every host."""
        keys = ("--ssh-key", str(self.lab.ssh_key))
        return ("--ssh-user=root", *keys, "--ssh-known-hosts", str(self.lab.known_hosts))

    def renew(self, *more: str) -> tuple[str, ...]:
        """The words that renew its certificates."""
        return ("certs", "renew", *more, *self.ssh, "-o", "json")

    def rotate(self, authority: str, *more: str) -> tuple[str, ...]:
        """The words that rotate an authority."""
        return ("certs", "rotate-ca", authority, *more, *self.ssh, "-o", "json")

    def succeeds(self, words: tuple[str, ...]) -> Command:
        """Run a command to its good end; say how long it took."""
        began = time.monotonic()
        with self.user.start(*words) as done:
            done.ends(LIMIT)
        assert done.process.returncode == 0, done.said[-4000:]
        print(f"{' '.join(words[:4])}: {time.monotonic() - began:.1f} s", file=sys.stderr)  # noqa: T201
        return done

    def killed_in(self, words: tuple[str, ...], step: str) -> None:
        """Kill a command with SIGKILL in a step."""
        with self.user.start(*words) as command:
            command.hears(
                lambda event: (event["type"], event.get("step")) == ("started", step), LIMIT
            )
            command.process.send_signal(signal.SIGKILL)
            assert command.ends() == -signal.SIGKILL

    def kubectl(self, *words: str) -> str:
        """What kubectl prints on the first host."""
        return self.lab.run(self.first, *_KUBECTL, *words).stdout

    def take_kubeconfig(self) -> None:
        """Have the administrator, and every client, use the kubeconfig that is on the host."""
        text = self.lab.run(self.first, "cat", "/etc/kubernetes/admin.conf").stdout
        partial = self.lab.kubeconfig.with_suffix(".partial")
        partial.write_text(text)
        partial.chmod(0o600)
        partial.replace(self.lab.kubeconfig)

    def serials(self) -> dict[str, str]:
        """What every port of the control plane presents, as `certs list` sees it."""
        listed = self.succeeds(("certs", "list", "--ssh", *self.ssh, "-o", "json")).result["items"]
        return {each["target"]: each["sha256"] for each in listed if each["kind"] == "port"}

    def findings(self) -> list[dict[str, Any]]:
        """What `certs check` finds that is worse than old ciphers."""
        found = self.succeeds(
            ("certs", "check", "--fail-on", "never", "--ssh", *self.ssh, "-o", "json")
        ).result["findings"]
        return [each for each in found if each["rule"] != "WeakCipher"]

    @contextmanager
    def asked(self, rate: int, kubeconfig: Path | None = None) -> Generator["Asked"]:
        """Clients that ask it so often a second while the context lasts."""
        self._count += 1
        report = self.directory / f"asked-{self._count}.json"
        servers = [f"https://{each.address}:6443" for each in self.hosts]
        config = str(kubeconfig or self.lab.kubeconfig)
        words = self.lab.inside(sys.executable, str(ASKING), config, str(report), str(rate))
        process = subprocess.Popen((*words, *servers))
        asked = Asked(process, report)
        try:
            eventually(lambda: report.exists() and asked.report["answered"] > 0)
            yield asked
        finally:
            asked.end()


class Asked:
    """What clients saw."""

    def __init__(self, process: "subprocess.Popen[bytes]", report: Path) -> None:
        self._process = process
        self._report = report

    @property
    def report(self) -> dict[str, Any]:
        """How many requests were answered, how many failed, and why."""
        return json.loads(self._report.read_text())

    def end(self) -> dict[str, Any]:
        """Let them end; what they saw until then."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait(60)
        print(json.dumps(self.report), file=sys.stderr)  # noqa: T201
        return self.report


EXHAUSTIVE = os.environ.get("SHIPKEEPER_EXHAUSTIVE") == "1"
