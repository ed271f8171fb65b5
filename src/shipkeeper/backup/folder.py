"""A backup as a folder of clean YAML files, for git, and back."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from shipkeeper.backup.archive import Archive
from shipkeeper.backup.contents import (
    Contents,
    KindContents,
    Moment,
    encode_contents,
    encode_name,
)
from shipkeeper.backup.kinds import Kind
from shipkeeper.backup.manifest import Manifest
from shipkeeper.backup.selection import Selection
from shipkeeper.backup.skip import DECISIVE_KINDS, surroundings, why_never
from shipkeeper.backup.strip import strip
from shipkeeper.errors import ShipkeeperError
from shipkeeper.store.repository import Repository
from shipkeeper.store.values import Backup

INDEX = "shipkeeper-backup.json"
"""The file that says of which backup the folder is, and which kinds are in it."""
_CLUSTER = "_cluster"
_SUFFIX = ".yaml"
_AT_ONCE = 500
_SECRET = ("", "Secret")


class FolderError(ShipkeeperError):
    """A folder cannot be written, or is no exported backup."""


class Exported(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an export wrote; `left_out` counts objects that are never restored, and Secrets."""

    written: int
    removed: int
    left_out: int
    secrets_left_out: int


async def export_folder(
    archive: Archive, folder: Path, selection: Selection, *, secrets: bool, dry_run: bool
) -> Exported:
    """Write every object that can be restored to a file of its own, and remove stale ones.

    Secrets, which would be readable, are left out unless asked for. FolderError if the folder
    holds anything that is not an export.
    """
    await asyncio.to_thread(_require_ours, folder)
    found = await archive.find(Selection(kinds=DECISIVE_KINDS, cluster_scoped=True))
    around = surroundings(manifest for _, manifest in found)
    written: set[Path] = set()
    left_out = hidden = 0
    for of in archive.kinds(selection):
        async for batch in archive.objects(of, selection):
            files: dict[Path, Manifest] = {}
            for stored, manifest in batch:
                if why_never(manifest, stored.kind.group, around):
                    left_out += 1
                elif stored.kind.group_kind == _SECRET and not secrets:
                    hidden += 1
                else:
                    path = _path(stored.kind, stored.namespace, stored.name)
                    files[path] = strip(manifest, stored.kind.group)
            written |= files.keys()
            if not dry_run:
                await asyncio.to_thread(_write, folder, files)
    removed = await asyncio.to_thread(_remove_stale, folder, written, dry_run=dry_run)
    if not dry_run:
        index = msgspec.json.format(encode_contents(archive.contents), indent=2)
        await asyncio.to_thread(_write_file, folder / INDEX, index + b"\n")
    return Exported(
        written=len(written), removed=removed, left_out=left_out, secrets_left_out=hidden
    )


def _path(kind: Kind, namespace: str, name: str) -> Path:
    # Names of roles may hold colons, which some file systems do not take.
    return Path(namespace or _CLUSTER) / kind.name / f"{quote(name, safe='')}{_SUFFIX}"


def _require_ours(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise _not_ours(folder)
    if folder.is_dir() and not (folder / INDEX).exists():
        others = [each for each in folder.iterdir() if not each.name.startswith(".")]
        if others:
            raise _not_ours(folder)


def _not_ours(folder: Path) -> FolderError:
    return FolderError(
        f"{folder} holds something else than an exported backup",
        reason="FolderTaken",
        hint="name an empty folder, or one that was exported to before",
    )


def _write(folder: Path, files: dict[Path, Manifest]) -> None:
    for path, manifest in files.items():
        _write_file(folder / path, msgspec.yaml.encode(manifest))


def _write_file(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != content:
            path.touch(mode=0o600)
            path.write_bytes(content)
    except OSError as error:
        raise FolderError(
            f"cannot write {path}: {error.strerror}",
            reason="FolderUnwritable",
            hint="free space or mend permissions there, then run it again",
        ) from error


def _remove_stale(folder: Path, written: set[Path], *, dry_run: bool) -> int:
    stale = [path for path in _files(folder) if path.relative_to(folder) not in written]
    for path in () if dry_run else stale:
        path.unlink()
    return len(stale)


def _files(folder: Path) -> Iterator[Path]:
    """Every file of an export; hidden folders, such as git's, are none of it."""
    for place in sorted(folder.iterdir()) if folder.is_dir() else ():
        if place.is_dir() and not place.name.startswith("."):
            yield from sorted(place.glob(f"*/*{_SUFFIX}"))


async def import_folder(
    repository: Repository, folder: Path, *, dry_run: bool
) -> tuple[Backup | None, Contents]:
    """Make a backup of an exported folder, with whatever was changed in it by hand.

    No backup is made with `dry_run`. FolderError naming the file that makes no sense.
    """
    exported = await asyncio.to_thread(_read_index, folder)
    found = await asyncio.to_thread(_read_objects, folder, exported)
    kinds = tuple(
        KindContents(kind=kind, objects=len(objects), moment=Moment.FILES)
        for kind, objects in found
    )
    contents = msgspec.structs.replace(
        exported, began_at=datetime.now(UTC), kinds=kinds, unreadable=(), selection=Selection()
    )
    if dry_run:
        return None, contents
    async with repository.writing() as writer:
        for of, (_, objects) in zip(kinds, found, strict=True):
            for start in range(0, len(objects), _AT_ONCE):
                batch = objects[start : start + _AT_ONCE]
                metas = [_meta(each) for each in batch]
                await writer.add(of.section, metas, [msgspec.json.encode(each) for each in batch])
        return await writer.commit(encode_contents(contents)), contents


def _meta(manifest: Manifest) -> bytes:
    metadata = manifest["metadata"]
    return encode_name(metadata.get("namespace", ""), metadata["name"])


def _read_index(folder: Path) -> Contents:
    try:
        return msgspec.json.decode((folder / INDEX).read_bytes(), type=Contents)
    except (OSError, msgspec.DecodeError) as error:
        raise FolderError(
            f"{folder} is no exported backup: {error}",
            reason="NoExport",
            hint="make one with: shipkeeper backup export",
        ) from error


def _read_objects(folder: Path, exported: Contents) -> list[tuple[Kind, list[Manifest]]]:
    kinds = {(each.kind.api_version, each.kind.kind): each.kind for each in exported.kinds}
    found: dict[str, list[Manifest]] = {}
    by_name = {kind.name: kind for kind in kinds.values()}
    for path in _files(folder):
        manifest = _read_object(path)
        kind = kinds.get((manifest["apiVersion"], manifest["kind"]))
        if kind is None:
            raise _bad_file(path, f"its kind {manifest['kind']} is not one of {INDEX}")
        found.setdefault(kind.name, []).append(manifest)
    return [(by_name[name], _sorted(objects)) for name, objects in sorted(found.items())]


def _sorted(objects: Iterable[Manifest]) -> list[Manifest]:
    return sorted(
        objects,
        key=lambda each: (each["metadata"].get("namespace", ""), each["metadata"]["name"]),
    )


def _read_object(path: Path) -> Manifest:
    try:
        manifest: Any = msgspec.yaml.decode(path.read_bytes())
        head = msgspec.convert(manifest, type=_Head)
    except (OSError, msgspec.MsgspecError) as error:
        raise _bad_file(path, str(error)) from error
    if not head.metadata.name:
        raise _bad_file(path, "it has no name")
    return manifest


class _Named(msgspec.Struct, frozen=True):
    name: str


class _Head(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    api_version: str
    kind: str
    metadata: _Named


def _bad_file(path: Path, why: str) -> FolderError:
    return FolderError(
        f"{path} is no object that can be imported: {why}",
        reason="InvalidFile",
        hint="mend or remove the file, then import again",
    )
