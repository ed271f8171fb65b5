"""The record of a command on its host: the shell programs that keep it, and what they say."""

import hashlib
import re
import shlex
from collections.abc import Mapping
from enum import StrEnum
from importlib import resources

import msgspec

from shipkeeper.errors import UsageError
from shipkeeper.hosts.errors import HostUnfitError
from shipkeeper.hosts.host import Answer

_MARK = "shipkeeper: "
_NAME = re.compile(r"(?!\.)[\w.-]+(/(?!\.)[\w.-]+)*", re.ASCII)


class State(StrEnum):
    """What has become of a command."""

    NEVER = "never"
    """It was not started."""
    RUNNING = "running"
    """Its runner lives."""
    ENDED = "ended"
    """Its exit code is known."""
    REBOOTED = "rebooted"
    """The host was booted since it started, so it can never end."""
    LOST = "lost"
    """Its runner was killed."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a host knows of a command; `elapsed` in seconds, `size` of its output in bytes."""

    state: State
    exit_code: int | None
    elapsed: int
    boot_id: str
    began_boot_id: str
    digest: str
    size: int
    timed_out: bool


class Keeping(msgspec.Struct, frozen=True, kw_only=True):
    """Where a host keeps a command's record; `root` empty means the default of its user."""

    name: str
    root: str = ""

    def __post_init__(self) -> None:
        """Refuse names that would lead out of the directory of records."""
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                f"{self.name!r} cannot be the name of a record",
                reason="BadRecordName",
                hint="use letters, digits, dots, dashes and underscores, with slashes between",
            )

    def look(self) -> str:
        """A program that changes nothing."""
        return self._program("look")

    def begin(self, script: str, environment: Mapping[str, str]) -> str:
        """A program that starts the command unless it was started before."""
        exports = "".join(
            f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()
        )
        files = (
            _writer("script", script),
            _writer("environment", exports),
            _writer("runner", _asset("runner.sh")),
        )
        return self._program("begin", *files, digest=digest_of(script))

    def follow(self, offset: int, wait: int) -> str:
        """A program that prints the output from `offset` on, for at most `wait` seconds."""
        return self._program("follow", offset=str(offset), wait=str(wait))

    def end(self, grace: int) -> str:
        """A program that ends the command, after `grace` seconds without mercy."""
        return self._program("end", wait=str(grace))

    def forget(self) -> str:
        """A program that removes the record of a command that does not run."""
        return self._program("forget")

    def _program(self, action: str, *functions: str, **variables: str) -> str:
        """One compound command: a shell that gets only a part of it executes nothing."""
        assignments = {"name": self.name, "root": self.root, **variables}
        lines = (f"{key}={shlex.quote(value)}" for key, value in assignments.items())
        return "\n".join(("{", *lines, *functions, _asset("record.sh"), action, "exit 0", "}\n"))


def digest_of(script: str) -> str:
    """What tells one script from another."""
    return hashlib.sha256(script.encode("utf-8", "surrogateescape")).hexdigest()


def read_answer(host: str, answer: Answer) -> Record:
    """The record that a program reported; HostUnfitError if it could not."""
    lines = [line for line in answer.errors.splitlines() if line.startswith(_MARK)]
    if not lines:
        raise _silent(host, answer)
    words = lines[-1].removeprefix(_MARK)
    if words.startswith("refused="):
        reason, _, message = words.removeprefix("refused=").partition(" ")
        raise _refused(host, reason, message)
    fields = dict(word.split("=", 1) for word in words.split())
    return Record(
        state=State(fields["state"]),
        exit_code=int(fields["code"]) if fields["code"] else None,
        elapsed=int(fields["elapsed"]),
        boot_id=fields["boot"],
        began_boot_id=fields["began"],
        digest=fields["digest"],
        size=int(fields["size"]),
        timed_out=fields["timed_out"] == "1",
    )


def _writer(name: str, text: str) -> str:
    """A shell function that prints `text` as it is."""
    end = f"end-of-{name}-{digest_of(text)[:16]}"
    return f"write_{name}() {{\ncat <<'{end}'\n{text.rstrip()}\n{end}\n}}"


def _asset(name: str) -> str:
    return resources.files("shipkeeper.hosts").joinpath(name).read_text("utf-8")


def _refused(host: str, reason: str, message: str) -> HostUnfitError:
    hints = {
        "ToolMissing": "install util-linux and coreutils there",
        "DiskFull": "free space there, then run the same command again; nothing was started",
        "RecordForeign": "remove it, or name another directory for records",
    }
    what = {"ToolMissing": f"it has no {message}", "DiskFull": f"its disk is full ({message})"}
    return HostUnfitError(
        f"{host} cannot run commands: {what.get(reason, message)}",
        reason=reason,
        hint=hints.get(reason, "mend the directory's mount or permissions; nothing was started"),
    )


def _silent(host: str, answer: Answer) -> HostUnfitError:
    last = answer.errors.strip().splitlines()[-1:] or [f"exit code {answer.exit_code}"]
    if "sudo" in answer.errors:
        return HostUnfitError(
            f"{host} does not let this user become root without a password: {last[0]}",
            reason="SudoRefused",
            hint="allow it in sudoers with NOPASSWD, or log in as root",
        )
    return HostUnfitError(
        f"the shell of {host} does not do what it should: {last[0]}",
        reason="ShellUnfit",
        hint="its login shell must run `sh -s` and pass on its input",
    )
