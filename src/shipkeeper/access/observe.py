"""Reading a cluster's policy: live, or from a folder of YAML. Nothing is ever written."""

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from shipkeeper.access.assembly import Manifest, assemble, from_manifests, type_of
from shipkeeper.access.kinds import GRAPH_KINDS, RBAC_KINDS, PolicyKind
from shipkeeper.access.policy import NEWEST, Policy, Unread
from shipkeeper.errors import UsageError
from shipkeeper.kube.connection import Requests
from shipkeeper.kube.errors import ForbiddenError, NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import Resource
from shipkeeper.model.documents import documents, objects_of
from shipkeeper.model.version import Version

DECISIVE = (*RBAC_KINDS, *GRAPH_KINDS)
_SUFFIXES = (".yaml", ".yml", ".json")


class FolderError(UsageError):
    """A folder, or a file in it, cannot be read as manifests."""


async def observe(connection: Requests, wanted: Iterable[PolicyKind] = DECISIVE) -> Policy:
    """The policy of a cluster as it is now; what may not be read is told in `unread`."""
    reader = Reader(connection)
    version = await reader.version()
    kinds = [kind for kind in wanted if version.minor >= kind.since]
    lists = await asyncio.gather(*(_list(reader, kind) for kind in kinds))
    found = {kind: objects for kind, (objects, _) in zip(kinds, lists, strict=True)}
    unread = tuple(each for _, each in lists if each is not None)
    return assemble(found, source="live", version=version, unread=unread)


async def _list(reader: Reader, kind: PolicyKind) -> tuple[list[Any], Unread | None]:
    resource = Resource(
        kind.group, kind.version, kind.plural, kind.kind, type_of(kind), kind.namespaced
    )
    try:
        return (await reader.list(resource)).items, None
    except (ForbiddenError, NotFoundError) as error:
        # A kind that is not served was not kept from anybody.
        is_failure = isinstance(error, ForbiddenError)
        return [], Unread(what=kind.kind, why=error.message, is_failure=is_failure)


def read_folder(folder: Path, version: Version = NEWEST) -> Policy:
    """The policy that the manifests of a folder (or of one file) make; FolderError if none can."""
    if not folder.exists():
        raise FolderError(
            f"there is no {folder}", reason="NoFolder", hint="name a folder of manifests"
        )
    files = [folder] if folder.is_file() else sorted(_manifest_files(folder))
    manifests = (manifest for file in files for manifest in read_manifests(file))
    return from_manifests(manifests, source=str(folder), version=version)


def _manifest_files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        # Hidden folders are git's and the like.
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix in _SUFFIXES and not is_hidden:
            yield path


def read_manifests(file: Path) -> Iterator[Manifest]:
    """The objects of a file: YAML documents, JSON, and Lists of them; others are passed over."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise _unreadable(file, str(error).splitlines()[0]) from error
    for each in documents(data):
        if each.error:
            raise _unreadable(file, each.complaint)
        yield from objects_of(each.value)


def _unreadable(file: Path, why: str) -> FolderError:
    return FolderError(
        f"{file} cannot be read: {why}",
        reason="BadFile",
        hint="mend the file, or move it elsewhere",
    )
