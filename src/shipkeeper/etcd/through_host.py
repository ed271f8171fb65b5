"""A member on a control-plane host, spoken to through SSH as if from the host itself."""

import shlex
import tempfile
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shipkeeper.etcd.errors import EtcdError
from shipkeeper.etcd.files import new_private_file
from shipkeeper.etcd.rpc import Credentials
from shipkeeper.etcd.static_pod import HEALTH_CLIENT, MANIFEST, decode_static_pod

if TYPE_CHECKING:
    from shipkeeper.hosts.ssh_session import SshSession

Way = tuple[str, Credentials]
"""An endpoint on this machine's loopback, and files to speak to it with."""


@asynccontextmanager
async def member_of(session: "SshSession", name: str, manifest: str = "") -> AsyncGenerator[Way]:
    """The way to the member that a host runs as a static pod, by its manifest.

    EtcdError when there is none, or its client's files cannot be read; HostError.
    """
    text = await _read(session, name, manifest or MANIFEST, "etcd's manifest")
    pod = decode_static_pod(text.decode(errors="replace"))
    found = await session.execute(f"test -r {HEALTH_CLIENT[1]}", lambda _: None)
    files = pod.client(has_health_client=found.exit_code == 0)
    async with client_through(session, name, pod.port, files) as way:
        yield way


@asynccontextmanager
async def client_through(
    session: "SshSession", name: str, port: int, files: Sequence[str]
) -> AsyncGenerator[Way]:
    """The way to a port of a host, with the host's own files: authority, certificate, key.

    They are here for as long as it lasts. EtcdError when one cannot be read; HostError.
    """
    client = [await _read(session, name, path, "etcd's client certificate") for path in files]
    with _kept(client) as credentials:
        async with session.forwarded(port) as local:
            yield f"https://127.0.0.1:{local}", credentials


async def _read(session: "SshSession", name: str, path: str, what: str) -> bytes:
    taken = bytearray()
    answer = await session.execute(f"cat {shlex.quote(path)}", taken.extend)
    if answer.exit_code:
        raise EtcdError(
            f"{name}: {what} cannot be read: {answer.errors.strip()}",
            reason="NoEtcdClient",
            hint="log in as root or with --sudo; where it is missing, have kubeadm make it "
            "(kubeadm init phase certs etcd-healthcheck-client)",
        )
    return bytes(taken)


@contextmanager
def _kept(client: Sequence[bytes]) -> Generator[Credentials]:
    """Files for a moment, as TLS wants them."""
    with tempfile.TemporaryDirectory(prefix="shipkeeper-etcd-") as folder:
        paths = [Path(folder) / name for name in ("ca.crt", "client.crt", "client.key")]
        for path, content in zip(paths, client, strict=True):
            with new_private_file(path) as file:
                file.write(content)
        yield Credentials(cacert=str(paths[0]), cert=str(paths[1]), key=str(paths[2]))
