"""The official client as the tests' independent witness, and patience."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shipkeeper.sandbox import Sandbox

_PROGRAM = Path(sys.executable).with_name("kubectl")


class Kubectl:
    """Runs kubectl, with a cache of its own."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def __call__(
        self, kubeconfig: Path, *arguments: str, text: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Whatever it answers, failures too."""
        return subprocess.run(
            [_PROGRAM, f"--kubeconfig={kubeconfig}", f"--cache-dir={self._cache}", *arguments],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def answer(self, sandbox: Sandbox, *arguments: str, text: str = "") -> str:
        """What the sandbox's administrator is told; a failure fails the test."""
        done = self(sandbox.kubeconfig, *arguments, text=text)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def apply(self, sandbox: Sandbox, *manifests: dict[str, Any], subresource: str = "") -> None:
        """Create or change objects as the administrator."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        part = (f"--subresource={subresource}",) if subresource else ()
        self.answer(sandbox, "apply", "--server-side", *part, "-f", "-", text=text)


def wait_until(is_true: Callable[[], bool]) -> None:
    """Fail unless it comes true within a time that only a broken program needs."""
    deadline = time.monotonic() + 60
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
