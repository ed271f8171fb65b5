"""The cache of engines: a version is there complete and checked, or it is not there."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from shipkeeper.paths import cache_dir
from shipkeeper.sandbox.assets.engines import (
    CONTROL_PLANE,
    Assets,
    Kit,
    NotServedError,
    Say,
    require_version,
)
from shipkeeper.sandbox.assets.workshop import Workshop

_MANIFEST = "manifest.json"


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """One stored engine: its checksum, and size and time (ns) that tell whether to compute it."""

    sha256: str
    size: int
    mtime_ns: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a complete cache entry holds and which way it came."""

    kubernetes_version: str
    source: str
    files: dict[str, StoredFile]


def kit_dir(kit: Kit = CONTROL_PLANE) -> Path:
    """The directory with one entry of a kit for each cached Kubernetes version."""
    return cache_dir() / kit.folder


def cached(version: str, kit: Kit = CONTROL_PLANE) -> Assets:
    """The cached engines of `version`; NotServedError says what is missing or damaged."""
    entry = kit_dir(kit) / version
    _require_intact(entry, read_manifest(entry), kit)
    return Assets(kubernetes_version=version, directory=entry, source="cache")


def cached_versions() -> list[str]:
    """The versions that have an entry in the cache."""
    return sorted(path.parent.name for path in kit_dir().glob(f"v*/{_MANIFEST}"))


def read_manifest(entry: Path) -> Manifest:
    """The manifest of a cache entry; NotServedError when there is none or it cannot be read."""
    try:
        return msgspec.json.decode((entry / _MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        raise NotServedError(f"{entry} holds no engines") from error
    except msgspec.DecodeError as error:
        raise NotServedError(f"{entry / _MANIFEST} is damaged: {error}") from error


def prepare(
    version: str,
    source: str,
    fill: Callable[[Workshop], None],
    say: Say,
    kit: Kit = CONTROL_PLANE,
) -> Assets:
    """Let `fill` put the engines into a workshop, check them, and publish them in one rename.

    Whoever comes second waits for the first and takes what that one published. NotServedError
    when `fill` cannot serve; the cache is then as it was.
    """
    with exclusively(kit_dir(kit), version, say) as lock:
        # Nobody else made them meanwhile: it is up to us.
        with suppress(NotServedError):
            return cached(version, kit)
        entry = kit_dir(kit) / version
        partial = kit_dir(kit) / f".{version}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        workshop = Workshop.open(version, partial, source, lock, say, kit)
        try:
            fill(workshop)
            shutil.rmtree(workshop.scratch)
            require_version(partial, version, kit)
            _write_manifest(partial, version, source, kit)
            shutil.rmtree(entry, ignore_errors=True)
            partial.rename(entry)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return Assets(kubernetes_version=version, directory=entry, source=source)


@contextmanager
def exclusively(folder: Path, name: str, say: Say) -> Generator[int, None, None]:
    """Be the only one who prepares an entry of a cache folder; gives the lock's descriptor."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{name}: another process is preparing this version; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()


def _require_intact(entry: Path, manifest: Manifest, kit: Kit) -> None:
    for name in kit.names:
        path, stored = entry / name, manifest.files.get(name)
        if stored is None or not path.is_file():
            raise NotServedError(f"{path} is missing")
        stat = path.stat()
        # Hashing all engines takes 2 s without SHA instructions: too long for each start.
        untouched = (stat.st_size, stat.st_mtime_ns) == (stored.size, stored.mtime_ns)
        if not untouched and _sha256(path) != stored.sha256:
            raise NotServedError(f"{path} is damaged: its sha256 is not the one recorded")


def _write_manifest(directory: Path, version: str, source: str, kit: Kit) -> None:
    files = {name: _store(directory / name) for name in kit.names}
    manifest = Manifest(kubernetes_version=version, source=source, files=files)
    path = directory / _MANIFEST
    path.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    _sync(path)
    _sync(directory)


def _store(path: Path) -> StoredFile:
    _sync(path)
    stat = path.stat()
    return StoredFile(sha256=_sha256(path), size=stat.st_size, mtime_ns=stat.st_mtime_ns)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
