"""A cluster of real etcd members on loopback, over TLS: for trying etcd itself."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from shipkeeper.sandbox.assets.etcd_tools import EtcdTools
from shipkeeper.sandbox.certificates import create_authority, issue_client, issue_server
from shipkeeper.sandbox.errors import SandboxError
from shipkeeper.sandbox.files import write_private
from shipkeeper.sandbox.keypair import KeyPair
from shipkeeper.sandbox.ports import free_ports

_LOOPBACK = ("localhost", "127.0.0.1")
_PATIENCE = 30.0  # seconds


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One member: its name, where it listens, where its data lies."""

    name: str
    client: str
    peer: str
    data: Path


class EtcdCluster:
    """Members that are started and stopped one by one; their PKI lies in `directory`."""

    def __init__(self, tools: EtcdTools, directory: Path, members: int = 1) -> None:
        self.tools = tools
        self.directory = directory
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        ports = iter(sorted(free_ports(2 * members)))
        self.members = tuple(
            Member(
                name=f"m{number}",
                client=f"https://127.0.0.1:{next(ports)}",
                peer=f"https://127.0.0.1:{next(ports)}",
                data=directory / f"m{number}.etcd",
            )
            for number in range(members)
        )
        self._create_pki()

    def _create_pki(self) -> None:
        self.authority = create_authority("etcd-ca")
        self.directory.mkdir(parents=True, exist_ok=True)
        write_private(self.ca, self.authority.certificate)
        self.write("server", issue_server(self.authority, "server", _LOOPBACK))
        self.write("client", issue_client(self.authority, "root"))

    def write(self, name: str, pair: KeyPair) -> None:
        """Write a key pair under a name."""
        write_private(self.directory / f"{name}.crt", pair.certificate)
        write_private(self.directory / f"{name}.key", pair.key)

    @property
    def ca(self) -> Path:
        """The authority's certificate."""
        return self.directory / "ca.crt"

    @property
    def endpoints(self) -> str:
        """All members, as `--endpoints` takes them."""
        return ",".join(member.client for member in self.members)

    @property
    def initial_cluster(self) -> str:
        """All members, as `--initial-cluster` takes them."""
        return ",".join(f"{member.name}={member.peer}" for member in self.members)

    def flags(self, endpoints: str = "") -> list[str]:
        """etcdctl's connection flags."""
        at = self.directory
        return [
            f"--endpoints={endpoints or self.endpoints}",
            f"--cacert={self.ca}",
            f"--cert={at / 'client.crt'}",
            f"--key={at / 'client.key'}",
        ]

    def start(
        self,
        *names: str,
        token: str = "etcd-cluster",  # noqa: S107
        more: Sequence[str] = (),
        wait: bool = True,
    ) -> None:
        """Start members (all by default) and wait until they answer."""
        wanted = [each for each in self.members if not names or each.name in names]
        for member in wanted:
            self.running[member.name] = self._spawn(member, token, more)
        if wait:
            self.wait(*(member.name for member in wanted))

    def _spawn(self, member: Member, token: str, more: Sequence[str]) -> subprocess.Popen[bytes]:
        at = self.directory
        command = [
            self.tools.etcd,
            f"--name={member.name}",
            f"--data-dir={member.data}",
            f"--listen-client-urls={member.client}",
            f"--advertise-client-urls={member.client}",
            f"--listen-peer-urls={member.peer}",
            f"--initial-advertise-peer-urls={member.peer}",
            f"--initial-cluster={self.initial_cluster}",
            f"--initial-cluster-token={token}",
            *("--client-cert-auth", f"--trusted-ca-file={self.ca}"),
            *(f"--cert-file={at / 'server.crt'}", f"--key-file={at / 'server.key'}"),
            *("--peer-client-cert-auth", f"--peer-trusted-ca-file={self.ca}"),
            *(f"--peer-cert-file={at / 'server.crt'}", f"--peer-key-file={at / 'server.key'}"),
            *("--unsafe-no-fsync", "--quota-backend-bytes=8589934592"),
            *("--logger=zap", "--log-level=warn", *more),
        ]
        with (at / f"{member.name}.log").open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait(self, *names: str) -> None:
        """Wait until members are healthy; SandboxError with the log's end when they are not."""
        deadline = time.monotonic() + _PATIENCE
        for member in (each for each in self.members if each.name in names):
            while True:
                done = self.ctl("endpoint", "health", endpoints=member.client, check=False)
                if not done.returncode:
                    break
                if self.running[member.name].poll() is not None or time.monotonic() > deadline:
                    log = (self.directory / f"{member.name}.log").read_text()[-2000:]
                    raise SandboxError(f"{member.name} does not become healthy: {log}")
                time.sleep(0.1)

    def ctl(
        self,
        *arguments: str,
        endpoints: str = "",
        check: bool = True,
        stdin: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Run the series' own etcdctl."""
        return subprocess.run(
            [self.tools.etcdctl, *self.flags(endpoints), *arguments],
            env=environment(),
            input=stdin,
            capture_output=True,
            text=True,
            check=check,
        )

    def hash_kv(self, endpoint: str = "") -> tuple[int, ...]:
        """Each member's hash over its keys."""
        done = self.ctl("endpoint", "hashkv", "-w", "json", endpoints=endpoint)
        return tuple(each["HashKV"]["hash"] for each in json.loads(done.stdout))

    def stop(self, *names: str, kill: bool = False) -> None:
        """End members (all by default)."""
        for name in names or tuple(self.running):
            process = self.running.pop(name)
            (process.kill if kill else process.terminate)()
            process.wait()

    def wipe(self) -> None:
        """Remove all data; members must be stopped."""
        for member in self.members:
            shutil.rmtree(member.data, ignore_errors=True)


@contextmanager
def etcd_cluster(tools: EtcdTools, directory: Path, members: int = 1) -> Generator[EtcdCluster]:
    """A running cluster, ended at the end."""
    cluster = EtcdCluster(tools, directory, members)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def environment() -> Mapping[str, str]:
    """What etcd's tools run with: 3.4 asks for the API's number."""
    return {**os.environ, "ETCDCTL_API": "3"}
