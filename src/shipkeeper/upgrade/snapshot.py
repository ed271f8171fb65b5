"""Before an upgrade changes anything: a snapshot of etcd, through SSH, on this machine."""

import asyncio
from pathlib import Path

from shipkeeper.engine.action import StepRecord
from shipkeeper.engine.journal import Phase
from shipkeeper.engine.plan import Step
from shipkeeper.engine.progress import Note, Sink
from shipkeeper.engine.verdict import Verdict
from shipkeeper.errors import ShipkeeperError
from shipkeeper.etcd.errors import EtcdError
from shipkeeper.etcd.members import list_alarms, list_members
from shipkeeper.etcd.rpc import Credentials, RpcError, open_member
from shipkeeper.etcd.save import Progress, Saved, save, watched
from shipkeeper.etcd.snapshot import open_snapshot
from shipkeeper.etcd.static_pod import HEALTH_CLIENT
from shipkeeper.etcd.status import Status, read_status
from shipkeeper.etcd.through_host import client_through
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.nodes.steps import missing_node, node_of
from shipkeeper.upgrade.hosts import Hosts, HostWorkError

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
        """Receive it whole, by its sha256; HostWorkError if that cannot be."""
        node = await self._reader.get(NODES, node_of(step))
        async with self._hosts.session(node) as session:
            try:
                async with client_through(session, node.name, _PORT, HEALTH_CLIENT) as way:
                    await self._save(*way)
            except EtcdError as error:
                why = error.message.removeprefix(f"{node.name}: ")
                raise HostWorkError(
                    f"{node.name}: etcd cannot be saved: {why}",
                    reason=error.reason,
                    hint=f"{_hint(error)}; then run the same command again, {_GO_WITHOUT}",
                ) from error

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        """Read all of it back: its sha256, and the structure of the database in it."""
        status = await asyncio.to_thread(_read_back, self._path)
        await record.write(
            Phase.BEFORE, saved=f"{self._path} (revision {status.revision}, sha256 checked)"
        )
        self._tell(Note(f"etcd is saved in {self._path}, of revision {status.revision}"))
        return None

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """A snapshot stays: it is nobody's burden, and may be wanted."""
        return False

    async def _save(self, endpoint: str, credentials: Credentials) -> None:
        await asyncio.to_thread(require_well, endpoint, credentials)

        def work(tell: Progress) -> Saved:
            return save([endpoint], credentials, self._path, say=lambda _: None, progress=tell)

        await watched(work, lambda came, left: None)


def _hint(error: ShipkeeperError) -> str:
    """What to do; a forwarded port does not tell why nobody answers behind it."""
    if isinstance(error, RpcError):
        return "see that etcd is well and sshd lets connections be forwarded (AllowTcpForwarding)"
    return error.hint


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
