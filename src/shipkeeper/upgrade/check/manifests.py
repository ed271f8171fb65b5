"""The API versions in manifests, whether in files or inside of Helm's releases."""

import base64
import binascii
import zlib
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any, cast

import msgspec
import yaml

from shipkeeper.engine.finding import Unchecked
from shipkeeper.errors import UsageError
from shipkeeper.upgrade.check.evidence import Seen, Use
from shipkeeper.upgrade.check.uses import target_of

_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_MAX_BYTES = 64 << 20  # of one release, unpacked
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


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

    UsageError if there is nothing of that name; files that cannot be read are told.
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
                uses += _uses_in(each)
            except (yaml.YAMLError, UnicodeDecodeError, OSError, RecursionError) as error:
                why = str(error).partition("\n")[0]
                unchecked.append(Unchecked(what=f"manifest {each}", why=f"it is no YAML: {why}"))
    return tuple(uses), tuple(unchecked)


def _uses_in(path: Path) -> Iterator[Use]:
    for found in objects_in(path.read_text()):
        yield Use(
            seen=Seen.MANIFEST,
            api_version=found.api_version,
            kind=found.kind,
            target=target_of(found.kind, found.namespace, found.name),
            who=str(path),
            place=f"{path}:{found.line}",
        )


def objects_in(text: str) -> Iterator[Found]:
    """Every object of a YAML stream, those inside of Lists too; YAMLError if it is none."""
    loader: Any = _LOADER(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            line = node.start_mark.line + 1
            yield from _objects(loader.construct_document(node), line)
    finally:
        loader.dispose()


def _objects(value: object, line: int) -> Iterator[Found]:
    if not isinstance(value, dict):
        return
    found = cast("dict[str, Any]", value)
    kind, version = found.get("kind"), found.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str):
        return
    items = found.get("items")
    if kind.endswith("List") and isinstance(items, list):
        for each in cast("list[object]", items):
            yield from _objects(each, line)
        return
    metadata = found.get("metadata")
    named = cast("dict[str, Any]", metadata) if isinstance(metadata, dict) else {}
    yield Found(
        version, kind, str(named.get("namespace") or ""), str(named.get("name") or ""), line
    )


def read_release(data: str, cluster_scoped: Set[str]) -> Iterator[Use]:
    """The uses in a release as Helm keeps it: gzip inside of base64.

    Objects without a namespace are in that of the release, but for kinds that are cluster_scoped.
    ValueError if it is something else.
    """
    try:
        packed = base64.b64decode(data)
        unpacker = zlib.decompressobj(wbits=31)
        text = unpacker.decompress(packed, _MAX_BYTES) if packed[:2] == b"\x1f\x8b" else packed
        release = msgspec.json.decode(text, type=_Release)
        objects = list(objects_in(release.manifest))
    except (binascii.Error, zlib.error, msgspec.DecodeError, yaml.YAMLError) as error:
        raise ValueError(f"it is no release of Helm: {error}") from error
    for found in objects:
        own = "" if found.kind in cluster_scoped else release.namespace
        yield Use(
            seen=Seen.HELM,
            api_version=found.api_version,
            kind=found.kind,
            target=target_of(found.kind, found.namespace or own, found.name),
            who=f"release {release.namespace}/{release.name}",
        )
