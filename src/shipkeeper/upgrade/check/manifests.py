"""The API versions in manifests, whether in files or inside of Helm's releases."""

import base64
import binascii
import zlib
from collections.abc import Set
from pathlib import Path
from typing import Any, cast

import msgspec

from shipkeeper.engine.finding import Unchecked
from shipkeeper.errors import UsageError
from shipkeeper.model.documents import documents, objects_of
from shipkeeper.upgrade.check.evidence import Seen, Use
from shipkeeper.upgrade.check.uses import target_of

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_MAX_BYTES = 64 << 20  # of one release, unpacked


class Found(msgspec.Struct, frozen=True):
    """An object of a manifest, by what it calls itself; `line` counts from 1."""

    api_version: str
    kind: str
    namespace: str
    name: str
    line: int


class _Release(msgspec.Struct, frozen=True):
    name: str = ""
    namespace: str = ""
    manifest: str = ""


def read_folder(path: Path) -> tuple[tuple[Use, ...], tuple[Unchecked, ...]]:
    """The uses in a file, or in every YAML and JSON file below a folder.

    UsageError if there is nothing of that name; files and documents that cannot be read are told.
    """
    if not path.exists():
        raise UsageError(
            f"there is no file or folder {path}",
            reason="NoManifests",
            hint="name a file, or a folder with YAML files",
        )
    files = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    uses: list[Use] = []
    unchecked: list[Unchecked] = []
    for each in files:
        if path.is_file() or each.suffix in _SUFFIXES:
            try:
                found, complaints = _read(each.read_bytes())
            except OSError as error:
                found, complaints = (), (str(error).partition("\n")[0],)
            uses += [_use_in(each, one) for one in found]
            unchecked += [Unchecked(what=f"manifest {each}", why=why) for why in complaints]
    return tuple(uses), tuple(unchecked)


def _use_in(path: Path, found: Found) -> Use:
    return Use(
        seen=Seen.MANIFEST,
        api_version=found.api_version,
        kind=found.kind,
        target=target_of(found.kind, found.namespace, found.name),
        who=str(path),
        place=f"{path}:{found.line}",
    )


def _read(text: str | bytes) -> tuple[tuple[Found, ...], tuple[str, ...]]:
    """Every object of a YAML stream, and what is wrong with documents that cannot be read."""
    found: list[Found] = []
    complaints: list[str] = []
    # One after the other: values take many times the memory of their text.
    for each in documents(text):
        seen = (_found(one, each.line) for one in objects_of(each.value))
        found += (one for one in seen if one is not None)
        complaints += (f"it is no YAML: {each.complaint}",) if each.error else ()
    return tuple(found), tuple(complaints)


def _found(manifest: dict[str, Any], line: int) -> Found | None:
    kind, version = manifest.get("kind"), manifest.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str):
        return None
    metadata = manifest.get("metadata")
    named = cast("dict[str, Any]", metadata) if isinstance(metadata, dict) else {}
    return Found(version, kind, _text(named.get("namespace")), _text(named.get("name")), line)


def _text(value: object) -> str:
    """A name; anything else is none, however large it may be."""
    return value if isinstance(value, str) else ""


def read_release(data: str, cluster_scoped: Set[str]) -> tuple[tuple[Use, ...], tuple[str, ...]]:
    """The uses in a release as Helm keeps it, gzip inside of base64; and what cannot be read in it.

    Objects without a namespace are in that of the release, but for kinds that are cluster_scoped.
    ValueError if it is something else.
    """
    try:
        packed = base64.b64decode(data)
        unpacker = zlib.decompressobj(wbits=31)
        text = unpacker.decompress(packed, _MAX_BYTES) if packed[:2] == b"\x1f\x8b" else packed
        release = msgspec.json.decode(text, type=_Release)
    except (binascii.Error, zlib.error, msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"it is no release of Helm: {error}") from error
    found, complaints = _read(release.manifest)
    return tuple(_use_of(release, each, cluster_scoped) for each in found), complaints


def _use_of(release: _Release, found: Found, cluster_scoped: Set[str]) -> Use:
    own = "" if found.kind in cluster_scoped else release.namespace
    return Use(
        seen=Seen.HELM,
        api_version=found.api_version,
        kind=found.kind,
        target=target_of(found.kind, found.namespace or own, found.name),
        who=f"release {release.namespace}/{release.name}",
    )
