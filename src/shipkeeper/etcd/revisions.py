"""The bucket `key` of etcd: every revision of every key, in the order of their writing.

Its keys are revisions: 8 bytes of the main number, `_`, 8 bytes of the number within the
transaction, big-endian, and `t` for a deletion. Its values are mvccpb.KeyValue messages.
"""

import struct
from typing import Final, cast

import msgspec

from shipkeeper.etcd.bolt.database import Buffer
from shipkeeper.etcd.errors import DamagedError
from shipkeeper.etcd.wire import WireError, fields, signed

KEY_BUCKET: Final = b"key"
META_BUCKET: Final = b"meta"

_REVISION: Final = struct.Struct(">qcq")
_PLAIN, _MARKED = 17, 18
_KEY_TAG: Final = 0x0A  # field 1, of bytes
_MORE: Final = 0x80  # the number goes on in the next byte


class Revision(msgspec.Struct, frozen=True, order=True):
    """When something was written: the transaction, and the place in it."""

    main: int
    sub: int = 0

    def encode(self) -> bytes:
        """The key of a write at this revision."""
        return _REVISION.pack(self.main, b"_", self.sub)


class KeyValue(msgspec.Struct, frozen=True, kw_only=True):
    """One revision of one key."""

    key: bytes
    create_revision: int = 0
    mod_revision: int = 0
    version: int = 0
    value: bytes = b""
    lease: int = 0


def is_tombstone(key: bytes) -> bool:
    """Whether a key of the bucket is of a deletion."""
    return len(key) == _MARKED and key.endswith(b"t")


def decode_revision(key: bytes) -> Revision:
    """The revision that a key of the bucket stands for; DamagedError for anything else."""
    if len(key) == _PLAIN or is_tombstone(key):
        main, mark, sub = _REVISION.unpack_from(key)
        if mark == b"_" and main >= 0 and sub >= 0:
            return Revision(main, sub)
    raise DamagedError(f"{key!r} in the bucket of revisions is no revision")


def decode_key_value(data: bytes) -> KeyValue:
    """An mvccpb.KeyValue; DamagedError for anything else."""
    numbers = [0] * 8
    key = value = b""
    try:
        for number, _, got in fields(data):
            if number == 1:
                key = cast("bytes", got)
            elif number == 5:
                value = cast("bytes", got)
            elif number < 8:
                numbers[number] = signed(cast("int", got))
    except (WireError, TypeError) as error:
        raise DamagedError(
            f"a value in the bucket of revisions is no key and value: {error}"
        ) from error
    return KeyValue(
        key=key,
        create_revision=numbers[2],
        mod_revision=numbers[3],
        version=numbers[4],
        value=value,
        lease=numbers[6],
    )


def key_of(page: Buffer, begin: int, end: int) -> bytes:
    """The user's key of a KeyValue that lies in a page, without decoding the rest of it."""
    at = begin + 2
    if end > at and page[begin] == _KEY_TAG:
        size = page[begin + 1]
        if size >= _MORE:
            size += (page[at] - 1) << 7
            at += 1
        # A length of three bytes or more is left to the whole decoder.
        if (size < _MORE or page[at - 1] < _MORE) and at + size <= end:
            return page[at : at + size]
    return decode_key_value(page[begin:end]).key
