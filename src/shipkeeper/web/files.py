"""The files that the browser runs: built by npm, read once, kept in memory, compressed."""

import gzip
import hashlib
import mimetypes
from importlib import resources
from importlib.resources.abc import Traversable

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from shipkeeper.web.problem import RefusedError

INDEX = "index.html"
_SMALL = 512
# Their names carry a hash of what is in them.
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"


class File(msgspec.Struct, frozen=True):
    """One file; `packed` is its gzip form, empty if that is no gain."""

    content: bytes
    packed: bytes
    media_type: str
    tag: str


class Files:
    """All of them by path; none if the console was installed without npm."""

    def __init__(self, root: Traversable | None = None) -> None:
        base = root or resources.files("shipkeeper.web").joinpath("static")
        self._files = dict(_walk(base, "")) if base.is_dir() else {}

    @property
    def are_built(self) -> bool:
        """Whether there is anything to be served."""
        return INDEX in self._files

    def has(self, path: str) -> bool:
        """Whether there is a file of this path."""
        return path in self._files

    async def serve(self, request: Request, path: str) -> Response:
        """A file; every path without one, of which the page knows what it means, is the page."""
        if path.startswith("api/"):
            raise RefusedError(404, "there is nothing of this name", reason="NotFound")
        file = self._files.get(path) or self._files[INDEX]
        is_hashed = path.startswith("assets/") and path in self._files
        headers = {
            "Cache-Control": _FOR_EVER if is_hashed else _ASK_AGAIN,
            "ETag": file.tag,
            "Vary": "Accept-Encoding",
        }
        if request.headers.get("if-none-match") == file.tag:
            return Response(status_code=304, headers=headers)
        content = file.content
        if file.packed and "gzip" in request.headers.get("accept-encoding", ""):
            content, headers["Content-Encoding"] = file.packed, "gzip"
        return Response(content, media_type=file.media_type, headers=headers)


def _walk(directory: Traversable, prefix: str) -> list[tuple[str, File]]:
    found: list[tuple[str, File]] = []
    for each in directory.iterdir():
        path = f"{prefix}{each.name}"
        found += _walk(each, f"{path}/") if each.is_dir() else [(path, _file(each))]
    return found


def _file(path: Traversable) -> File:
    content = path.read_bytes()
    packed = gzip.compress(content, 9, mtime=0) if len(content) > _SMALL else b""
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return File(
        content,
        packed if len(packed) < len(content) else b"",
        "text/javascript" if media_type.endswith("javascript") else media_type,
        f'"{hashlib.sha256(content).hexdigest()[:16]}"',
    )
