"""A tar stream taken apart into headers and pieces of content, and put together again. Pure.

Content is cut where the file's own offset is a multiple of a mebibyte, wherever the file lies in
the stream and however many holes it has: what did not change is the same pieces again.
"""

from collections.abc import Generator, Iterable, Iterator

from shipkeeper.backup.volumes.member import (
    BLOCK,
    NOTHING,
    Member,
    TarError,
    extension_bytes,
    is_extension,
    padded,
    read_member,
)

PIECE_BYTES = 1024 * 1024
END = bytes(2 * BLOCK)
"""What comes after the last member."""

Part = Member | bytes
"""A member, or the next piece of the content of the member before."""


class Splitter:
    """Takes a tar stream in chunks of any size and tells the parts that are complete."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._at = 0
        self._parts: list[Part] = []
        self._work = self._take_apart()
        self._needs = next(self._work)
        self._is_over = False

    def feed(self, chunk: bytes) -> list[Part]:
        """Go on with a chunk; TarError."""
        if self._is_over:
            return []
        self._buffer += chunk
        try:
            while len(self._buffer) - self._at >= self._needs:
                self._needs = self._work.send(None)
        except StopIteration:
            self._is_over = True
        del self._buffer[: self._at]
        self._at = 0
        parts, self._parts = self._parts, []
        return parts

    def finish(self) -> None:
        """TarError if the stream ended before its end."""
        if not self._is_over:
            raise TarError("the tar stream is cut off")

    def _next(self, size: int) -> bytes:
        """The next bytes, which must be there."""
        content = bytes(self._buffer[self._at : self._at + size])
        self._at += size
        return content

    def _take_apart(self) -> Generator[int, None, None]:
        """Yields how many bytes must be there before it goes on."""
        while True:
            headers = b""
            yield BLOCK
            block = self._next(BLOCK)
            if block == NOTHING:
                return
            while is_extension(block):
                size = extension_bytes(block)
                yield size + BLOCK
                headers += block + self._next(size)
                block = self._next(BLOCK)
            member = read_member(headers + block)
            self._parts.append(member)
            if member.size:
                yield from self._content(member)

    def _content(self, member: Member) -> Generator[int, None, None]:
        left, extents = member.size, [(0, member.size)]
        if member.is_sparse:
            map_, extents = yield from self._map()
            self._parts.append(map_)
            left -= len(map_)
        for size in grid(extents, PIECE_BYTES):
            yield size
            self._parts.append(self._next(size))
            left -= size
        if left:
            raise TarError("a sparse file's map does not fit its content")
        padding = padded(member.size) - member.size
        yield padding
        self._next(padding)

    def _map(self) -> Generator[int, None, tuple[bytes, list[tuple[int, int]]]]:
        """The map of a sparse file: a count, then offset and size of each run of data, as lines."""
        content = b""
        while True:
            yield BLOCK
            content += self._next(BLOCK)
            count, is_line, _ = content.partition(b"\n")
            if is_line and content.count(b"\n") >= 1 + 2 * int(count):
                numbers = [int(line) for line in content.split(b"\n")[1 : 1 + 2 * int(count)]]
                return content, list(zip(numbers[::2], numbers[1::2], strict=True))


def grid(extents: Iterable[tuple[int, int]], cell: int) -> Iterator[int]:
    """How many bytes of data lie in each cell of a file that has these extents of data."""
    current, size = -1, 0
    for offset, length in extents:
        at, end = offset, offset + length
        while at < end:
            place = at // cell
            if place != current and size:
                yield size
                size = 0
            current = place
            step = min(end, (place + 1) * cell) - at
            size += step
            at += step
    if size:
        yield size


def stream_bytes(headers: int, size: int) -> int:
    """How long a member is in a stream."""
    return headers + padded(size)
