"""How bbolt lays out a file: the page header, the two meta pages, elements of pages.

Source: etcd-io/bbolt, internal/common. All numbers are little-endian.
"""

import struct
from typing import Final

import msgspec

BRANCH: Final = 0x01
LEAF: Final = 0x02
META: Final = 0x04
FREELIST: Final = 0x10
BUCKET_ELEMENT: Final = 0x01

PAGE_HEADER: Final = struct.Struct("<QHHI")
"""Page number, flags, count of elements, count of further pages that belong to this one."""
LEAF_ELEMENT: Final = struct.Struct("<IIII")
"""Flags, place of the key (from the element's own), its length, the value's length."""
BRANCH_ELEMENT: Final = struct.Struct("<IIQ")
"""Place of the key (from the element's own), its length, number of the child's page."""
BUCKET_HEADER: Final = struct.Struct("<QQ")
"""Root page (0 when an inline page follows) and sequence."""

NO_FREELIST: Final = 0xFFFF_FFFF_FFFF_FFFF
"""Stands for the freelist's page where none is kept, as etcd has it."""
PAGE_SIZES: Final = tuple(1024 << shift for shift in range(7))
"""1 KiB to 64 KiB: what operating systems have."""

_META: Final = struct.Struct("<IIIIQQQQQQ")
_MAGIC: Final = 0xED0CDAED
_VERSION: Final = 2
_FNV_OFFSET: Final = 0xCBF29CE484222325
_FNV_PRIME: Final = 0x100000001B3
_WORD: Final = 0xFFFF_FFFF_FFFF_FFFF


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """A meta page: of two that are valid, the one with the higher transaction number counts.

    `high_water` is one more than the highest page number in use.
    """

    page_size: int
    root: int
    sequence: int
    freelist: int
    high_water: int
    transaction: int

    def encode(self) -> bytes:
        """The meta with its checksum, as it stands behind its page's header."""
        body = _META.pack(
            *(_MAGIC, _VERSION, self.page_size, 0, self.root, self.sequence),
            *(self.freelist, self.high_water, self.transaction, 0),
        )[:-8]
        return body + _fnv1a(body).to_bytes(8, "little")

    def page(self) -> bytes:
        """The whole page, header and all, in the place that is its turn."""
        header = PAGE_HEADER.pack(self.transaction % 2, META, 0, 0)
        return (header + self.encode()).ljust(self.page_size, b"\0")


def decode_meta(page: bytes) -> Meta | None:
    """The meta of a page that begins with its header; None unless it is valid."""
    begin, end = PAGE_HEADER.size, PAGE_HEADER.size + _META.size
    if len(page) < end:
        return None
    magic, version, page_size, _, root, sequence, freelist, high_water, transaction, checksum = (
        _META.unpack_from(page, begin)
    )
    is_valid = (
        (magic, version) == (_MAGIC, _VERSION)
        and page_size in PAGE_SIZES
        and checksum == _fnv1a(page[begin : end - 8])
    )
    if not is_valid:
        return None
    return Meta(
        page_size=page_size,
        root=root,
        sequence=sequence,
        freelist=freelist,
        high_water=high_water,
        transaction=transaction,
    )


def _fnv1a(data: bytes) -> int:
    value = _FNV_OFFSET
    for byte in data:
        value = ((value ^ byte) * _FNV_PRIME) & _WORD
    return value
