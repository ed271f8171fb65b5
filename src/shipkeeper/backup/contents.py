"""What a backup says of itself: which kinds it holds, of which moment, and what it lacks. Pure."""

from datetime import datetime
from enum import StrEnum

import msgspec

from shipkeeper.backup.kinds import GroupKind, Kind, Served
from shipkeeper.backup.selection import Selection
from shipkeeper.backup.volumes.record import VolumeCounts
from shipkeeper.errors import ShipkeeperError

FORMAT = 1


class Moment(StrEnum):
    """How the objects of a kind were brought to the moment that they show."""

    COMMON = "Common"
    """Listed at the backup's revision: of one moment with all others that are."""
    APART = "Apart"
    """Stored elsewhere than the rest (an aggregated API), so of a moment of its own."""
    OWN = "Own"
    """Listed at a revision of its own, as the server kept no common one for long enough."""
    FILES = "Files"
    """Read from files, which know no moment."""


class KindContents(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One kind of a backup: how many objects, and the revision that they were listed at."""

    kind: Kind
    objects: int
    moment: Moment
    revision: str = ""

    @property
    def section(self) -> str:
        """The store's section that holds its objects."""
        return f"{self.kind.api_version}/{self.kind.plural}"


class Unreadable(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Something that could not be read, and why: a kind's name, or an API group's version."""

    what: str
    reason: str
    message: str

    @classmethod
    def because(cls, what: str, error: ShipkeeperError) -> "Unreadable":
        """Make it of the error that reading met."""
        return cls(what=what, reason=error.reason, message=error.message)


class Contents(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A backup's summary, stored beside it; no object is named in it.

    `cluster` is the UID of kube-system, `revision` the common one of etcd.
    """

    format: int = FORMAT
    cluster: str
    server: str
    version: str
    began_at: datetime
    revision: str
    selection: Selection
    kinds: tuple[KindContents, ...]
    unreadable: tuple[Unreadable, ...] = ()
    volumes: VolumeCounts = VolumeCounts()

    @property
    def is_complete(self) -> bool:
        """Whether everything that was chosen is in it, of one moment, and the volumes asked for."""
        return not self.unreadable and not self.scattered and self.volumes.is_complete

    @property
    def scattered(self) -> tuple[KindContents, ...]:
        """The kinds that should be of the common moment and are not."""
        return tuple(each for each in self.kinds if each.moment is Moment.OWN)

    @property
    def objects(self) -> int:
        """How many objects it holds."""
        return sum(each.objects for each in self.kinds)

    @property
    def served(self) -> Served:
        """The kinds that it holds, to look words up in."""
        return Served(each.kind for each in self.kinds)

    def of(self, group_kind: GroupKind) -> KindContents | None:
        """The part of one kind, if there is one."""
        return next((each for each in self.kinds if each.kind.group_kind == group_kind), None)


class ContentsError(ShipkeeperError):
    """A backup's summary cannot be read."""


def encode_contents(contents: Contents) -> bytes:
    """The summary's bytes."""
    return msgspec.json.encode(contents)


def decode_contents(summary: bytes | None, name: str) -> Contents:
    """Read the summary of the backup of a name; ContentsError when it is of a newer format."""
    if summary is None:
        raise ContentsError(
            f"the summary of backup {name} is sealed",
            reason="NoKey",
            hint="give the repository's key with --key, or $SHIPKEEPER_KEY",
        )
    try:
        found = msgspec.json.decode(summary, type=_Format)
        if found.format > FORMAT:
            raise ContentsError(
                f"backup {name} was made by a newer shipkeeper (format {found.format})",
                reason="BackupTooNew",
                hint="use that version to read it",
            )
        return msgspec.json.decode(summary, type=Contents)
    except msgspec.DecodeError as error:
        raise ContentsError(
            f"the summary of backup {name} makes no sense: {error}",
            reason="SummaryMalformed",
            hint="check the repository with: shipkeeper backup verify",
        ) from error


def encode_name(namespace: str, name: str) -> bytes:
    """What an entry of the manifest says of its object."""
    return _encode((namespace, name))


_encode = msgspec.json.Encoder().encode
_NAMES = msgspec.json.Decoder(tuple[str, str])


def decode_name(meta: bytes) -> tuple[str, str]:
    """Namespace and name of an entry's object."""
    return _NAMES.decode(meta)


class _Format(msgspec.Struct, frozen=True):
    format: int = FORMAT
