"""Each blob on its own: are its bytes what its name, hash or signature promises?"""

import re
from collections.abc import Callable

import msgspec

from shipkeeper.store import config as configs
from shipkeeper.store.access import Access
from shipkeeper.store.blobs import PARTIAL, BlobInfo
from shipkeeper.store.documents import (
    BACKUPS,
    DICTIONARIES,
    DOOMED,
    FORGOTTEN,
    INDEX,
    PACKS,
    DoomedDocument,
    ForgottenDocument,
    base,
    pack_path,
)
from shipkeeper.store.errors import DamagedError
from shipkeeper.store.findings import UNEXPECTED, UNFINISHED, Finding, altered
from shipkeeper.store.index import IndexBlob, check_index_blob
from shipkeeper.store.records import Record, check_record
from shipkeeper.store.sealing import content_hash

_HASH = re.compile(r"[0-9a-f]{64}")


class Inspection(msgspec.Struct, kw_only=True):
    """What the blobs turned out to be; `packs` are the sound ones with their sizes in bytes."""

    packs: dict[bytes, int] = {}
    indexes: dict[str, IndexBlob] = {}
    records: dict[str, Record] = {}
    damaged_records: list[str] = []
    forgotten: set[str] = set()
    altered_packs: list[str] = []
    findings: list[Finding] = []


def inspect(access: Access, seen: Inspection, info: BlobInfo, content: bytes) -> None:
    """Check one blob and note what it is."""
    folder = info.name.partition("/")[0]
    check = _CHECKS.get(folder, _unexpected)
    try:
        check(access, seen, info, content)
    except DamagedError:
        seen.findings.append(altered(info.name))


def _config(access: Access, seen: Inspection, info: BlobInfo, content: bytes) -> None:
    if info.name != configs.NAME:
        _unexpected(access, seen, info, content)
    elif content != configs.encode(access.config):
        raise DamagedError(info.name)


def _dictionary(access: Access, seen: Inspection, info: BlobInfo, content: bytes) -> None:
    if info.name != f"{DICTIONARIES}/{access.config.dictionary}":
        _unexpected(access, seen, info, content)
    elif content_hash(content).hex() != access.config.dictionary:
        raise DamagedError(info.name)


def _pack(access: Access, seen: Inspection, info: BlobInfo, content: bytes) -> None:
    if not _HASH.fullmatch(base(info.name)) or pack_path(_name(info)) != info.name:
        _unexpected(access, seen, info, content)
    elif content_hash(content) != _name(info):
        # Reported once it is known which backups need it.
        seen.altered_packs.append(info.name)
    else:
        seen.packs[_name(info)] = len(content)


def _index(access: Access, seen: Inspection, info: BlobInfo, content: bytes) -> None:
    seen.indexes[info.name] = check_index_blob(access, info.name, content)


def _record(access: Access, seen: Inspection, info: BlobInfo, content: bytes) -> None:
    record = check_record(access, info, content)
    if record.document is None:
        seen.damaged_records.append(record.name)
    else:
        seen.records[record.name] = record


def _forgotten(access: Access, seen: Inspection, info: BlobInfo, content: bytes) -> None:
    name = base(info.name)
    if access.seal.open(content, FORGOTTEN, name, ForgottenDocument).backup != name:
        raise DamagedError(info.name)
    seen.forgotten.add(name)


def _doomed(access: Access, seen: Inspection, info: BlobInfo, content: bytes) -> None:
    access.seal.open(content, DOOMED, base(info.name), DoomedDocument)


def _partial(access: Access, seen: Inspection, info: BlobInfo, content: bytes) -> None:
    message = "left half written by a killed writer"
    seen.findings.append(Finding(reason=UNFINISHED, blob=info.name, message=message, harmless=True))


def _unexpected(access: Access, seen: Inspection, info: BlobInfo, content: bytes) -> None:
    message = "no repository writes a blob of that name"
    seen.findings.append(Finding(reason=UNEXPECTED, blob=info.name, message=message))


def _name(info: BlobInfo) -> bytes:
    return bytes.fromhex(base(info.name))


_CHECKS: dict[str, Callable[[Access, Inspection, BlobInfo, bytes], None]] = {
    configs.NAME: _config,
    DICTIONARIES: _dictionary,
    PACKS: _pack,
    INDEX: _index,
    BACKUPS: _record,
    FORGOTTEN: _forgotten,
    DOOMED: _doomed,
    PARTIAL: _partial,
}
