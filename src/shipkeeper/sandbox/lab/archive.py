"""Container images, written from files without a registry or a builder.

The format is that of `docker save`, which `ctr images import` reads.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from io import BufferedRandom, BufferedReader
from pathlib import Path
from typing import IO

import msgspec

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Any fixed time will do: the same files give the same image.
_CREATED = "2021-01-01T00:00:00Z"


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """What an image of one layer holds: files by their place inside, links by theirs."""

    references: tuple[str, ...]
    files: Mapping[str, Path]
    links: Mapping[str, str] = {}
    entrypoint: tuple[str, ...] = ()


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """How an image is called, and how it starts; `environment` has lines of NAME=VALUE."""

    references: tuple[str, ...]
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    user: str = ""


def write_archive(image: Image, target: Path, architecture: str) -> None:
    """Write an image for Linux on `architecture` (Go's spelling) as an archive to import."""
    layer = target.with_suffix(".layer")
    with layer.open("wb") as file:
        write_layer(sorted(image.files.items()), image.links, file)
    with layer.open("rb") as file, target.open("wb") as archive:
        start = Start(references=image.references, entrypoint=image.entrypoint)
        write_image(start, (file,), archive, architecture)
    layer.unlink()


def write_layer(
    files: Iterable[tuple[str, Path | bytes]], links: Mapping[str, str], target: IO[bytes]
) -> None:
    """Write a layer: each file after its folders, and nobody's but root's to change."""
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as layer:
        made = {"."}
        _add_folder(layer, "tmp", made)
        for place, content in files:
            _add_folder(layer, str(Path(place).parent), made)
            if isinstance(content, Path):
                with content.open("rb") as file:
                    _add(layer, place, file, 0o755)
            else:
                _add(layer, place, io.BytesIO(content), 0o755)
        for place, destination in sorted(links.items()):
            _add_folder(layer, str(Path(place).parent), made)
            entry = tarfile.TarInfo(place)
            entry.type, entry.linkname = tarfile.SYMTYPE, destination
            layer.addfile(entry)


def write_image(
    start: Start,
    layers: Sequence[BufferedReader | BufferedRandom],
    target: IO[bytes],
    architecture: str,
) -> None:
    """Write an image of layers, the lowest first, as an archive to import."""
    digests = [hashlib.file_digest(layer, "sha256").hexdigest() for layer in layers]
    configuration = _encode(_configuration(start, digests, architecture))
    name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    places = [f"{digest}.tar" for digest in digests]
    manifest = {"Config": name, "RepoTags": start.references, "Layers": places}
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, name, io.BytesIO(configuration), 0o644)
        for place, layer in zip(places, layers, strict=True):
            _add(archive, place, layer, 0o644)
        _add(archive, "manifest.json", io.BytesIO(_encode([manifest])), 0o644)


def _configuration(start: Start, digests: Sequence[str], architecture: str) -> dict[str, object]:
    made = {"created": _CREATED, "created_by": "shipkeeper sandbox"}
    return {
        "architecture": architecture,
        "os": "linux",
        "created": _CREATED,
        "config": {
            "Entrypoint": start.entrypoint,
            "Cmd": start.command,
            "Env": [_PATH, *start.environment],
            "User": start.user,
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [made for _ in digests],
    }


def _encode(value: object) -> bytes:
    return json.dumps(value).encode()


def _add_folder(archive: tarfile.TarFile, name: str, made: set[str]) -> None:
    if name in made:
        return
    _add_folder(archive, str(Path(name).parent), made)
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
    archive.addfile(entry)
    made.add(name)


def _add(archive: tarfile.TarFile, name: str, content: IO[bytes], mode: int) -> None:
    """Add a file without its owner and times, which would make every archive another one."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = content.seek(0, io.SEEK_END), mode
    content.seek(0)
    archive.addfile(entry, content)
