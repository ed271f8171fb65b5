"""Container images of one layer, written from files, without a registry or a builder.

The format is that of `docker save`, which `ctr images import` reads.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Any fixed time will do: the same files give the same image.
_CREATED = "2021-01-01T00:00:00Z"


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """What an image holds: files by their place inside, links by theirs, and how it starts."""

    references: tuple[str, ...]
    files: Mapping[str, Path]
    links: Mapping[str, str] = {}
    entrypoint: tuple[str, ...] = ()


def write_archive(image: Image, target: Path, architecture: str) -> None:
    """Write an image for Linux on `architecture` (Go's spelling) as an archive to import."""
    layer = target.with_suffix(".layer")
    _write_layer(image, layer)
    with layer.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    configuration = _encode(_configuration(image, digest, architecture))
    name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    manifest = {"Config": name, "RepoTags": image.references, "Layers": [f"{digest}.tar"]}
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, name, configuration)
        _add_file(archive, f"{digest}.tar", layer, 0o644)
        _add(archive, "manifest.json", _encode([manifest]))
    layer.unlink()


def _write_layer(image: Image, target: Path) -> None:
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as layer:
        folders = {
            str(parent)
            for place in (*image.files, *image.links)
            for parent in Path(place).parents
            if str(parent) != "."
        }
        for folder in sorted(folders | {"tmp"}):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            layer.addfile(entry)
        for place, source in sorted(image.files.items()):
            _add_file(layer, place, source, 0o755)
        for place, destination in sorted(image.links.items()):
            entry = tarfile.TarInfo(place)
            entry.type, entry.linkname = tarfile.SYMTYPE, destination
            layer.addfile(entry)


def _configuration(image: Image, digest: str, architecture: str) -> dict[str, object]:
    return {
        "architecture": architecture,
        "os": "linux",
        "created": _CREATED,
        "config": {"Entrypoint": image.entrypoint, "Env": [_PATH], "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created": _CREATED, "created_by": "shipkeeper sandbox"}],
    }


def _encode(value: object) -> bytes:
    return json.dumps(value).encode()


def _add_file(archive: tarfile.TarFile, name: str, source: Path, mode: int) -> None:
    """Add a file without its owner and times, which would make every archive another one."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = source.stat().st_size, mode
    with source.open("rb") as content:
        archive.addfile(entry, content)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    archive.addfile(entry, io.BytesIO(content))
