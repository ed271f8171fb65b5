"""Before an upgrade changes anything: a snapshot of etcd, through SSH, on this machine."""

import asyncio
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from shipkeeper.engine.journal import Phase
from shipkeeper.engine.plan import Step
from shipkeeper.engine.progress import Note, Sink
from shipkeeper.engine.run import StepRecord
from shipkeeper.engine.verdict import Verdict
from shipkeeper.errors import ShipkeeperError
from shipkeeper.etcd.errors import EtcdError
from shipkeeper.etcd.files import new_private_file
from shipkeeper.etcd.members import list_alarms, list_members
from shipkeeper.etcd.rpc import Credentials, RpcError, open_member
from shipkeeper.etcd.save import save
from shipkeeper.etcd.snapshot import open_snapshot
from shipkeeper.etcd.status import Status, read_status
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.model.node import Node
from shipkeeper.nodes.steps import missing_node, node_of
from shipkeeper.upgrade.commands import ETCD_CLIENT
from shipkeeper.upgrade.hosts import Hosts, HostWorkError

if TYPE_CHECKING:
    from shipkeeper.hosts.ssh_session import SshSession

_PORT = 2379
_GO_WITHOUT = "or go without, and without that way back, with --no-snapshot"


class Snapshot:
    """Save etcd through SSH into the run's directory; a snapshot is the cluster as it was."""

    def __init__(self, reader: Reader, hosts: Hosts, directory: Path, tell: Sink) -> None:
        self._reader = reader
        self._hosts = hosts
        self._path = directory / "before-upgrade.db"
        self._tell = tell

    async def check(self, step: Step) -> Verdict | None:
        """The node must be there."""
        return await missing_node(self._reader, step)

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Receive it whole, by its sha256; HostWorkError or EtcdError if that cannot be."""
        node = await self._reader.get(NODES, node_of(step))
        async with self._hosts.session(node) as session:
            credentials = await _read_client(session, node)
            async with session.forwarded(_PORT) as port:
                await self._save(node, port, credentials)

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        """Read all of it back: its sha256, and the structure of the database in it."""
        status = await asyncio.to_thread(_read_back, self._path)
        await record.write(
            Phase.BEFORE, saved=f"{self._path} (revision {status.revision}, sha256 checked)"
        )
        self._tell(Note(f"etcd is saved in {self._path}, of revision {status.revision}"))
        return None

    async def undo(self, step: Step) -> bool:
        """A snapshot stays: it is nobody's burden, and may be wanted."""
        return False

    async def _save(self, node: Node, port: int, client: tuple[bytes, ...]) -> None:
        endpoint = f"https://127.0.0.1:{port}"
        with _kept(self._path.with_name("etcd-client"), client) as credentials:
            try:
                await asyncio.to_thread(require_well, endpoint, credentials)
                await asyncio.to_thread(
                    save,
                    [endpoint],
                    credentials,
                    self._path,
                    say=lambda line: None,
                    progress=lambda came, left: None,
                )
            except ShipkeeperError as error:
                raise HostWorkError(
                    f"{node.name}: etcd cannot be saved: {error.message}",
                    reason=error.reason,
                    hint=f"{_hint(error)}; then run the same command again, {_GO_WITHOUT}",
                ) from error


def _hint(error: ShipkeeperError) -> str:
    """What to do; a forwarded port does not tell why nobody answers behind it."""
    if isinstance(error, RpcError):
        return "see that etcd is well and sshd lets connections be forwarded (AllowTcpForwarding)"
    return error.hint


async def _read_client(session: "SshSession", node: Node) -> tuple[bytes, ...]:
    """What kubeadm's client for health checks authenticates with, as files of the host hold it."""
    found: list[bytes] = []
    for path in ETCD_CLIENT:
        taken = bytearray()
        answer = await session.execute(f"cat {path}", taken.extend)
        if answer.exit_code:
            raise HostWorkError(
                f"{node.name}: etcd's client certificate cannot be read: {answer.errors.strip()}",
                reason="NoEtcdClient",
                hint=f"have kubeadm make it (kubeadm init phase certs etcd-healthcheck-client), "
                f"and log in as root or with --sudo; {_GO_WITHOUT}",
            )
        found.append(bytes(taken))
    return tuple(found)


@contextmanager
def _kept(folder: Path, client: tuple[bytes, ...]) -> Generator[Credentials]:
    """Files for a moment, as TLS wants them; what a killed attempt left is removed as well."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        paths = [folder / Path(name).name for name in ETCD_CLIENT]
        for path, content in zip(paths, client, strict=True):
            with new_private_file(path) as file:
                file.write(content)
        yield Credentials(cacert=str(paths[0]), cert=str(paths[1]), key=str(paths[2]))
    finally:
        shutil.rmtree(folder)


def require_well(endpoint: str, credentials: Credentials) -> None:
    """EtcdError if the next etcd would not start, or takes no writes (etcd-io/etcd#19557)."""
    with open_member(endpoint, credentials) as member:
        learners = [each.name or str(each.id) for each in list_members(member) if each.is_learner]
        alarms = list_alarms(member)
    if learners:
        raise EtcdError(
            f"these members of it are learners still: {', '.join(learners)}",
            reason="EtcdLearner",
            hint="promote or remove them (etcdctl member promote, etcdctl member remove)",
        )
    if alarms:
        raise EtcdError(
            "it has raised an alarm: it takes no writes, or its members differ",
            reason="EtcdAlarm",
            hint="see which with: shipkeeper etcd health",
        )


def _read_back(path: Path) -> Status:
    with open_snapshot(path) as snapshot:
        snapshot.require_sha256()
        return read_status(snapshot.database())
