"""What GNU tar complains about, file by file. Pure."""

import codecs
import re
from collections.abc import Iterable
from typing import cast

import msgspec

_LINE = re.compile(r'^(?:\S*/)?tar: "((?:[^"\\]|\\.)*)": (.*)$')
_SAID = re.compile(r"^(?:\S*/)?tar: ")
_CHANGED = ("file changed as we read it", "File shrank by")
# What is gone by the time it would be read is not part of the volume any more.
_GONE = ("File removed before we read it",)
_LEFT_OUT = ("socket ignored", "file is on a different filesystem", "door ignored")


class Complaint(msgspec.Struct, frozen=True):
    """A file, by the name in the stream, and what tar says of it."""

    name: bytes
    message: str

    def __str__(self) -> str:
        return f"{shown(self.name)}: {self.message}"


class Complaints(msgspec.Struct, frozen=True, kw_only=True):
    """Files that changed while they were read, could not be read, are left out, or went away."""

    changed: tuple[Complaint, ...] = ()
    missing: tuple[Complaint, ...] = ()
    left_out: tuple[Complaint, ...] = ()
    gone: tuple[Complaint, ...] = ()


def read_complaints(errors: str) -> Complaints:
    """Sort the lines that tar wrote to its standard error with `--quoting-style=c`."""
    found = [
        Complaint(_unquoted(match[1]), match[2])
        for line in errors.splitlines()
        if (match := _LINE.match(line))
    ]
    return Complaints(
        changed=_those(found, _CHANGED),
        left_out=_those(found, _LEFT_OUT),
        gone=_those(found, _GONE),
        missing=tuple(
            each for each in found if not each.message.startswith(_CHANGED + _GONE + _LEFT_OUT)
        ),
    )


def shown(name: bytes) -> str:
    """A file's name for people, without the leading `./`; nothing in it moves a cursor."""
    text = name.removeprefix(b"./").decode("utf-8", "backslashreplace") or "."
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def is_troubled(errors: str) -> bool:
    """Whether tar complained at all; others write to standard error, too (sudo, login scripts)."""
    return any(_SAID.match(line) for line in errors.splitlines())


def _those(found: Iterable[Complaint], beginnings: tuple[str, ...]) -> tuple[Complaint, ...]:
    chosen = (each for each in found if each.message.startswith(beginnings))
    return tuple({each.name: each for each in chosen}.values())


def _unquoted(text: str) -> bytes:
    """A name out of C's quotes; bytes that are not ASCII come as octal escapes."""
    content, _ = cast("tuple[bytes, int]", codecs.escape_decode(text.encode("utf-8", "replace")))  # pyright: ignore
    return content
