"""Further API servers on the etcd of a sandbox, with authorizers of their own."""

import os
import subprocess
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import yaml

from shipkeeper.sandbox import names
from shipkeeper.sandbox.endpoint import as_admin
from shipkeeper.sandbox.ports import choose_ports
from shipkeeper.sandbox.record import read_record
from shipkeeper.sandbox.sandbox import Sandbox

_OURS = ("--authorization-", "--secure-port", "--audit-")
# A machine that is busy otherwise takes minutes.
_PATIENCE = 600.0


class ServerDidNotStartError(Exception):
    """The API server ended, or never got ready; its last words are the message."""


class FurtherServer(msgspec.Struct, frozen=True):
    """An API server that runs; `kubeconfig` is its administrator's."""

    sandbox: Sandbox
    kubeconfig: Path
    port: int

    def as_user(self, name: str, groups: tuple[str, ...] = ()) -> Path:
        """The kubeconfig of a user of the sandbox, led to this server."""
        issued = self.sandbox.issue_kubeconfig(name, groups)
        return led_to(self.sandbox, self.port, issued, self.kubeconfig.with_name(f"{name}.conf"))

    def bare(self, name: str, **user: str) -> Path:
        """A kubeconfig with these credentials alone, or with none."""
        path = self.kubeconfig.with_name(f"{name}.bare")
        return with_credentials(self.kubeconfig, path, user)


def server_flags(sandbox: Sandbox) -> tuple[str, ...]:
    """The command of the sandbox's own API server, without what decides on authorization."""
    command = read_record(sandbox.layout).components[names.API_SERVER].command
    return tuple(word for word in command if not word.startswith(_OURS))


@contextmanager
def further_server(
    sandbox: Sandbox, directory: Path, flags: Sequence[str]
) -> Generator[FurtherServer]:
    """Run one with these flags besides; ServerDidNotStartError if it will not."""
    directory.mkdir(parents=True, exist_ok=True)
    port = choose_ports().api_server
    command = [*server_flags(sandbox), f"--secure-port={port}", *flags]
    log = directory / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "GOGC": "300"}
        )
    try:
        _wait(sandbox, process, port, log)
        admin = led_to(sandbox, port, sandbox.kubeconfig, directory / "admin.kubeconfig")
        yield FurtherServer(sandbox, admin, port)
    finally:
        process.kill()
        process.wait()


def _wait(sandbox: Sandbox, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    endpoint = as_admin(sandbox.layout, port)
    began = time.monotonic()
    while not endpoint.succeeds("GET", "/readyz"):
        if process.poll() is not None or time.monotonic() - began > _PATIENCE:
            raise ServerDidNotStartError("\n".join(log.read_text().splitlines()[-5:]))
        time.sleep(0.05)


def led_to(sandbox: Sandbox, port: int, kubeconfig: Path, path: Path) -> Path:
    """A copy of a sandbox's kubeconfig for another port."""
    own = read_record(sandbox.layout).ports.api_server
    text = kubeconfig.read_text().replace(f"127.0.0.1:{own}", f"127.0.0.1:{port}")
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def with_credentials(kubeconfig: Path, path: Path, user: dict[str, str]) -> Path:
    """A copy of a kubeconfig with other credentials: a token, a certificate, or nothing."""
    config = yaml.safe_load(kubeconfig.read_text())
    config["users"][0]["user"] = user
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(config))
    return path
