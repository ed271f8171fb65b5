"""A command on a host that is started once and whose end is known, whatever breaks in between.

It runs detached under a record of its own (see record.sh). The connection may drop, shipkeeper may
be killed: whoever comes next finds it running, ended, lost, or killed by a reboot.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from shipkeeper.hosts.errors import (
    CommandLostError,
    CommandTimedOutError,
    ConnectionLostError,
    HostError,
    HostRebootedError,
    HostUnreachableError,
)
from shipkeeper.hosts.handshakes import backoff
from shipkeeper.hosts.host import Host, Session
from shipkeeper.hosts.masking import Masking
from shipkeeper.hosts.output import OutputLog
from shipkeeper.hosts.record import Keeping, Record, State, digest_of, read_answer

_FOLLOW_SECONDS = 20
_BEGINS = 3
_SIGNALLED = (129, 130, 143)
"""The exit codes of a shell whose command a shutdown ended."""


class RemoteOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How patient to be, in seconds; `root` is the records' directory on the host."""

    time_limit: int | None = None
    end_at_limit: bool = True
    end_grace: int = 10
    reconnect_limit: float = 900.0
    reconnect_base: float = 0.5
    root: str = ""


class RemoteResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended; `exit_code` None means an expected reboot ended it."""

    exit_code: int | None
    tail: str
    began_boot_id: str
    boot_id: str

    @property
    def rebooted(self) -> bool:
        """Whether the host was booted since the command started."""
        return self.began_boot_id != self.boot_id


class RemoteCommand:
    """One execution of one script on one host; `directory` keeps the local copy of its output."""

    def __init__(
        self,
        host: Host,
        name: str,
        script: str,
        directory: Path,
        *,
        environment: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        expects_reboot: bool = False,
        is_resumed: bool = False,
        options: RemoteOptions | None = None,
        show: Callable[[str], None] = lambda line: None,
        trouble: Callable[[HostError], None] = lambda error: None,
    ) -> None:
        """Prepare it: `name` (run/node) is its record's on the host; `secrets` are masked.

        With `is_resumed` there was an attempt: where nothing is known of it here, it was made
        elsewhere and may have begun it, so that a host that is away is waited for.
        """
        self.directory = directory
        self._host = host
        self._script = script
        self._environment = {**(environment or {}), **(secrets or {})}
        self._masking = (secrets or {}).values()
        self._expects_reboot = expects_reboot
        self._is_resumed = is_resumed
        self._options = options or RemoteOptions()
        self._keeping = Keeping(name=name, root=self._options.root)
        self._show = show
        self._trouble = trouble

    @property
    def output(self) -> Path:
        """Where the masked output is kept."""
        return self.directory / "output.log"

    @property
    def is_open(self) -> bool:
        """Whether it may run: its end was not seen from here, nor is it known that it never began.

        Of what was begun from elsewhere nothing is known here.
        """
        return not self._ended.exists() and not self._is_unbegun

    @property
    def _is_unbegun(self) -> bool:
        """Whether it is known that it never began."""
        return self._first.exists() and not self._begun.exists()

    @property
    def _first(self) -> Path:
        """Made here by the first of all attempts."""
        return self.directory / "first"

    @property
    def _begun(self) -> Path:
        return self.directory / "begun"

    @property
    def _ended(self) -> Path:
        return self.directory / "ended"

    async def run(self) -> RemoteResult:
        """Start it, or find out that it was started before, follow it, and wait for its end."""
        self._make_directory()
        if not self._is_resumed:
            self._first.touch()
        log = OutputLog(self.output, Masking(self._masking), self._show)
        loop = asyncio.get_running_loop()
        patient_until = self._patience()
        failures = 0
        while True:
            try:
                async with self._host.session() as session:
                    record = await self._begin(session)
                    failures = 0
                    record = await self._follow(session, record, log)
                self._ended.touch()
                return self._judge(record, log)
            except (ConnectionLostError, HostUnreachableError) as error:
                # From now on: until this moment the host was there.
                patient_until = patient_until if failures else self._patience()
                if self._is_unbegun or loop.time() > patient_until:
                    raise
                self._trouble(error)
            failures += 1
            await asyncio.sleep(backoff(failures, self._options.reconnect_base, 15.0))

    async def look(self) -> Record:
        """What the host knows of it; starts nothing."""
        return await self._ask(self._keeping.look())

    async def end(self) -> Record:
        """End it if it runs: SIGTERM, and after a while SIGKILL."""
        return await self._ask(self._keeping.end(self._options.end_grace))

    async def forget(self) -> None:
        """Remove its record from the host, unless it runs."""
        await self._ask(self._keeping.forget())

    def _patience(self) -> float:
        """Until when on the loop's clock a host is waited for that is away from now on."""
        return asyncio.get_running_loop().time() + self._options.reconnect_limit

    def _make_directory(self) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise CommandLostError(
                f"cannot keep the command's output in {self.directory}: {error.strerror}",
                reason="RecordUnwritable",
                hint="free space or mend permissions, then run the same command again",
            ) from error

    async def _ask(self, program: str) -> Record:
        async with self._host.session() as session:
            return await self._execute(session, program)

    async def _execute(
        self, session: Session, program: str, output: Callable[[bytes], None] = lambda chunk: None
    ) -> Record:
        return read_answer(self._host.name, await session.execute(program, output))

    async def _begin(self, session: Session) -> Record:
        self._begun.touch()
        program = self._keeping.begin(self._script, self._environment)
        record = await self._execute(session, program)
        if record.digest and record.digest != digest_of(self._script):
            raise CommandLostError(
                f"the record {self._keeping.name} on {self._host.name} is another script's",
                reason="RecordOfAnother",
                hint="the script was changed in mid-run; start a new run",
            )
        return record

    async def _follow(self, session: Session, record: Record, log: OutputLog) -> Record:
        begins = 1
        while record.state in (State.RUNNING, State.NEVER) or log.taken < record.size:
            if record.state == State.NEVER:
                begins += 1
                if begins > _BEGINS:
                    break
                record = await self._begin(session)
            elif (left := self._left(record)) <= 0:
                record = await self._reach_limit(session)
            else:
                program = self._keeping.follow(log.taken, min(left, _FOLLOW_SECONDS))
                record = await self._execute(session, program, log.take)
        log.finish()
        return record

    def _left(self, record: Record) -> int:
        """Seconds that the command may still take."""
        limit = self._options.time_limit
        if limit is None or record.state != State.RUNNING:
            return _FOLLOW_SECONDS
        return limit - record.elapsed

    async def _reach_limit(self, session: Session) -> Record:
        if not self._options.end_at_limit:
            raise self._timed_out("it was left running", "look at it there; run again to follow it")
        record = await self._execute(session, self._keeping.end(self._options.end_grace))
        if record.state == State.RUNNING:
            raise self._timed_out("not even SIGKILL ends it", "reboot the host")
        return record

    def _timed_out(self, what: str, hint: str) -> CommandTimedOutError:
        return CommandTimedOutError(
            f"the command on {self._host.name} took longer than {self._options.time_limit} s;"
            f" {what}",
            reason="CommandTimedOut",
            hint=f"{hint}; its output is in {self.output}",
        )

    def _judge(self, record: Record, log: OutputLog) -> RemoteResult:
        code = record.exit_code
        by_reboot = self._expects_reboot and record.boot_id != record.began_boot_id
        if record.timed_out:
            raise self._timed_out("it was ended", "give it more time, or find out why it hung")
        if by_reboot and (record.state == State.REBOOTED or code in _SIGNALLED):
            code = None
        elif record.state == State.REBOOTED:
            raise HostRebootedError(
                f"{self._host.name} was booted while the command ran; it can never end",
                reason="HostRebooted",
                hint=f"see how far it came in {self.output}, then start a new run",
            )
        elif record.state != State.ENDED:
            raise CommandLostError(
                f"the command on {self._host.name} ended without leaving its exit code",
                reason="CommandLost",
                hint=f"it was killed, or never could start; see {self.output}",
            )
        return RemoteResult(
            exit_code=code,
            tail=log.tail(),
            began_boot_id=record.began_boot_id,
            boot_id=record.boot_id,
        )
