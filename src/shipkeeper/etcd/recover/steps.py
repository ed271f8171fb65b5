"""Doing a recovery's steps, each on all control-plane hosts at once."""

import asyncio
import contextlib
import hashlib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from shipkeeper.engine.action import Action, StepRecord
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.progress import Note, Sink
from shipkeeper.engine.verdict import Verdict
from shipkeeper.errors import BlockedError
from shipkeeper.etcd.errors import EtcdError
from shipkeeper.etcd.files import appearing
from shipkeeper.etcd.recover import programs
from shipkeeper.etcd.recover.plan import NO_RETURN, RecoverOutlook, Site, outlook_of
from shipkeeper.etcd.restore import RestoreRequest, restore
from shipkeeper.hosts.errors import HostError
from shipkeeper.hosts.host import Feed, Host

_CHUNK = 1 << 20
_ATTEMPTS = 3


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """What the steps work with: ways to hosts, the snapshot, and a folder of this run.

    sha256: that of the snapshot's database when the run was planned, in hexadecimal.
    timeout: how many seconds each wait on a host may take.
    """

    hosts: Mapping[str, Host]
    outlook: RecoverOutlook
    snapshot: Path
    skip_hash_check: bool
    sha256: str
    timeout: float
    directory: Path
    tell: Sink

    async def each(self, do: Callable[[Site], Awaitable[object]]) -> None:
        """Do something for every site at once; the first error is raised when all have ended."""
        found = await asyncio.gather(*map(do, self.outlook.sites), return_exceptions=True)
        for result in found:
            if isinstance(result, BaseException):
                raise result

    async def run(self, site: Site, program: str) -> str:
        """What a program prints on a host; EtcdError with its last words if it fails."""
        return await run_on(self.hosts[site.host], programs.patient(program, self.timeout))


async def run_on(host: Host, program: str) -> str:
    """What a program prints on a host; EtcdError with its last words if it fails."""
    out: list[bytes] = []
    async with host.session() as session:
        answer = await session.execute(program, out.append)
    if answer.exit_code:
        raise EtcdError(
            f"{host.name}: {_last_words(answer.errors, answer.exit_code)}",
            reason="HostStepFailed",
            hint="see the kubelet's journal there: journalctl -u kubelet",
        )
    return b"".join(out).decode("utf-8", "replace")


def _last_words(errors: str, code: int) -> str:
    lines = [line.removeprefix("shipkeeper: ") for line in errors.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit code {code}"


class OnSites:
    """A step that is the same on every host; it is taken back by the first step's way back."""

    def __init__(self, do: Callable[[], Awaitable[None]]) -> None:
        self._do = do

    async def check(self, step: Step) -> Verdict | None:
        """Each step waits for what it needs itself."""
        return None

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Do it, again if it was begun: all of it may be repeated."""
        await self._do()

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        """What was done was observed while it was done."""
        return None

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """The way back is one, and the first step's."""
        return False


class Prepare(OnSites):
    """The first step, whose way back is that of all up to the point of no return."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(lambda: bench.each(self._make_folder))
        self._bench = bench

    async def _make_folder(self, site: Site) -> None:
        await self._bench.run(site, f"mkdir -p -m 700 {self._bench.outlook.aside}\n")

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """Let the old etcd and API servers run again, and remove what was brought.

        A host that fails keeps no other from it: of three old members two serve. What was brought
        stays then, for the next attempt.
        """
        back, aside = _WayBack(self._bench), self._bench.outlook.aside
        await back.run(programs.stop_new(aside))
        await back.run(programs.put_back(programs.ETCD, aside))
        # An API server without etcd ends, and the kubelet waits longer each time that it does.
        await back.see(self._see_etcd_well)
        await back.run(programs.put_back(programs.API_SERVER, aside))
        await back.see(self._see_api_server_well)
        back.require_whole()
        await self._bench.each(self._remove)
        return True

    async def _see_etcd_well(self, site: Site) -> None:
        if site.was_healthy:
            health = programs.await_healthy(site.health_host, site.health_port)
            await self._bench.run(site, health)

    async def _see_api_server_well(self, site: Site) -> None:
        if site.was_healthy:
            await self._bench.run(site, programs.await_api_server())

    async def _remove(self, site: Site) -> None:
        await self._bench.run(site, programs.discard(site.new_data))
        await self._bench.run(site, programs.clear(self._bench.outlook.aside))


class _WayBack:
    """What is done on every host that all before was done on; the first error is kept."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._sites = list(bench.outlook.sites)
        self._error: BaseException | None = None

    async def run(self, program: str) -> None:
        """Run a program, and go on without the hosts that it fails on."""
        results = await self.see(lambda site: self._bench.run(site, program))
        self._sites = [site for site, error in results if error is None]

    async def see(
        self, look: Callable[[Site], Awaitable[object]]
    ) -> list[tuple[Site, BaseException | None]]:
        """Look at each; what is not as it should be keeps nothing from being put back."""
        found = await asyncio.gather(*map(look, self._sites), return_exceptions=True)
        errors = [each if isinstance(each, BaseException) else None for each in found]
        self._error = self._error or next(filter(None, errors), None)
        return list(zip(self._sites, errors, strict=True))

    def require_whole(self) -> None:
        """Raise what failed first."""
        if self._error is not None:
            raise self._error


class NoReturn(OnSites):
    """A step that cannot be taken back, and so is tried again when it fails."""

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Do it; an old cluster that is whole is no longer there to go back to."""
        for _ in range(_ATTEMPTS - 1):
            with contextlib.suppress(EtcdError, HostError):  # The last attempt tells why.
                return await self._do()
        return await self._do()

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """The restored cluster has taken writes: BlockedError."""
        raise BlockedError(
            "the restored cluster takes writes since kube-apiserver was started",
            reason="NoReturn",
            hint="go on with: shipkeeper etcd recover, as it was begun",
        )


def recovery_actions(bench: Bench) -> Mapping[str, Action]:
    """What the steps of `plan_recovery` are done by."""
    aside = bench.outlook.aside

    def everywhere(program: Callable[[Site], str]) -> Callable[[], Awaitable[None]]:
        return lambda: bench.each(lambda site: bench.run(site, program(site)))

    async def prove() -> None:
        name = aside.rpartition("/")[2]
        await bench.run(bench.outlook.sites[0], programs.prove(f"shipkeeper-{name}"))

    return {
        "prepare": Prepare(bench),
        "stage": OnSites(lambda: _stage_all(bench)),
        "edit": OnSites(lambda: bench.each(lambda site: _edit(bench, site))),
        "stop-apiserver": OnSites(everywhere(lambda _: programs.stop(programs.API_SERVER, aside))),
        "stop-etcd": OnSites(everywhere(lambda _: programs.stop(programs.ETCD, aside))),
        "save": OnSites(lambda: bench.each(lambda site: _save(bench, site))),
        "start-etcd": OnSites(everywhere(lambda _: programs.start_new(aside))),
        "etcd-healthy": OnSites(
            everywhere(lambda site: programs.await_healthy(site.health_host, site.health_port))
        ),
        NO_RETURN: NoReturn(
            everywhere(lambda _: programs.start_api_server(aside) + programs.await_api_server())
        ),
        "prove": NoReturn(prove),
    }


async def _stage_all(bench: Bench) -> None:
    # One after the other: three copies of a large database need not fit on this disk.
    for site in bench.outlook.sites:
        local = bench.directory / "restored"
        shutil.rmtree(local, ignore_errors=True)
        try:
            await asyncio.to_thread(restore, _request(bench, site, local))
            await bench.run(site, programs.discard(site.new_data))
            for file in sorted(each for each in local.rglob("*") if each.is_file()):
                await _bring(bench, site, file, f"{site.new_data}/{file.relative_to(local)}")
        finally:
            shutil.rmtree(local, ignore_errors=True)


def _request(bench: Bench, site: Site, data: Path) -> RestoreRequest:
    return RestoreRequest(
        snapshot=bench.snapshot,
        name=site.name,
        initial_cluster=bench.outlook.initial_cluster,
        initial_cluster_token=bench.outlook.token,
        initial_advertise_peer_urls=site.peer_urls,
        data_dir=data,
        bump_revision=bench.outlook.bump_revision,
        skip_hash_check=bench.skip_hash_check,
        sha256=bench.sha256,
    )


async def _edit(bench: Bench, site: Site) -> None:
    file = bench.directory / f"{site.name}.yaml"
    file.write_text(site.manifest)
    await _bring(bench, site, file, f"{bench.outlook.aside}/{programs.ETCD}.new")


async def _bring(bench: Bench, site: Site, file: Path, target: str) -> None:
    """Stream a file to a host; EtcdError unless it is the same there."""
    digest, told = hashlib.sha256(), bytearray()

    async def chunks() -> AsyncIterator[bytes]:
        with file.open("rb") as source:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                yield chunk

    async def take(chunk: bytes) -> None:
        told.extend(chunk)

    size = (await asyncio.to_thread(file.stat)).st_size
    feed = Feed(size=size, chunks=chunks())
    async with bench.hosts[site.host].session() as session:
        answer = await session.stream(programs.take_file(target), take, feed)
    if answer.exit_code or told.decode().split()[:1] != [digest.hexdigest()]:
        raise EtcdError(
            f"{site.host}: {target} did not arrive whole: "
            f"{_last_words(answer.errors, answer.exit_code)}",
            reason="BrokenTransfer",
            hint="see the disk there, and try again",
        )


class _MissingError(EtcdError):
    """There is nothing to save."""


async def _save(bench: Bench, site: Site) -> None:
    """Save the old database, if there is one: it is no longer needed where it was lost."""
    file = bench.directory / f"before-{site.name}.db"
    try:
        await _fetch(bench, site, file)
    except _MissingError as error:
        bench.tell(Note(f"{site.host} has no old database to save: {error}", is_warning=True))
    else:
        bench.tell(Note(f"the old database of {site.name} is saved in {file}"))


async def _fetch(bench: Bench, site: Site, file: Path) -> None:
    """Fetch the old database with its sha256 behind it, as a snapshot has it."""
    digest = hashlib.sha256()
    database = f"{site.old_data}/member/snap/db"
    with appearing(file) as target:

        async def take(chunk: bytes) -> None:
            digest.update(chunk)
            target.write(chunk)

        async with bench.hosts[site.host].session() as session:
            answer = await session.stream(programs.fetch(database), take)
        if answer.exit_code:
            raise _unread(site, database, _last_words(answer.errors, answer.exit_code))
        target.write(digest.digest())


def _unread(site: Site, database: str, words: str) -> EtcdError:
    """Why a database did not come: that there is none must be certain, else it is there."""
    if words.endswith(programs.ABSENT):
        return _MissingError(words, reason="NoDatabase")
    return EtcdError(
        f"{site.host}: the old database cannot be read, so it is not saved: {words}",
        reason="OldDatabaseUnread",
        hint=f"see the disk and the permissions there; if it is beyond reading, move {database} "
        "away on that host, and try again",
    )


def bench_of(plan: Plan, hosts: Mapping[str, Host], directory: Path, tell: Sink) -> Bench:
    """What the steps of a plan work with."""
    return Bench(
        hosts=hosts,
        outlook=outlook_of(plan),
        snapshot=Path(str(plan.request["snapshot"])),
        skip_hash_check=bool(plan.request["skipHashCheck"]),
        sha256=str(plan.request["sha256"]),
        timeout=float(plan.request["timeout"]),
        directory=directory,
        tell=tell,
    )
