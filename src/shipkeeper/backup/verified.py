"""When a repository was last verified from this machine, and what was found."""

import os
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from shipkeeper.store.findings import Finding, Report
from shipkeeper.store.values import Backup


class Verification(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One verification; `depth` is `content` if every object was decrypted, else `structure`."""

    at: datetime
    depth: str
    findings: tuple[Finding, ...] = ()

    def covers(self, backup: Backup) -> bool:
        """Whether a backup was there when it was made."""
        return backup.created <= self.at

    def harm_to(self, backup: Backup) -> tuple[Finding, ...]:
        """What was found that a backup needs."""
        return tuple(
            each for each in self.findings if backup.name in each.backups and not each.harmless
        )

    def about(self, names: Collection[str]) -> "Verification":
        """The same with what was found of these backups alone."""
        found = tuple(each for each in self.findings if set(each.backups) & set(names))
        return msgspec.structs.replace(self, findings=found)


def remember(directory: Path, repository: str, began: datetime, report: Report) -> Verification:
    """Keep the outcome of a verification that began then; OSError if it cannot be written."""
    made = Verification(at=began, depth=report.depth, findings=report.findings)
    directory.mkdir(parents=True, exist_ok=True)
    path = _path(directory, repository)
    beside = path.with_suffix(f".{os.getpid()}")
    beside.write_bytes(msgspec.json.encode(made))
    beside.replace(path)
    return made


def recall(directory: Path, repository: str) -> Verification | None:
    """The newest verification of a repository; None if none is known here."""
    try:
        found = msgspec.json.decode(_path(directory, repository).read_bytes(), type=Verification)
    except (OSError, msgspec.DecodeError):
        return None
    return found if found.at.tzinfo else msgspec.structs.replace(found, at=found.at.astimezone(UTC))


def _path(directory: Path, repository: str) -> Path:
    return directory / f"{repository}.json"
