"""The local copy of what a host prints: masked, whole lines, continued after a crash."""

import codecs
import re
from collections.abc import Callable
from pathlib import Path

from shipkeeper.hosts.errors import CommandLostError
from shipkeeper.hosts.masking import Masking

# A longer line is cut, so that endless output without a line feed does not fill the memory.
_LONGEST_LINE = 1 << 16
# What a host prints must not steer the terminal of who looks at it.
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(\x07|\x1b\\)|\x1b[@-_]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class OutputLog:
    """Takes the output's bytes from its first on; shows and stores each line once.

    Lines that an earlier shipkeeper stored already are only read again, because whether a line is
    part of a private key is known from those before it.
    """

    def __init__(self, path: Path, masking: Masking, show: Callable[[str], None]) -> None:
        self.path = path
        self.taken = 0
        self._masking = masking
        self._show = show
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._stored = _whole_lines(path)

    def take(self, chunk: bytes) -> None:
        """Add some bytes; each line that they complete is shown and stored."""
        self.taken += len(chunk)
        *lines, rest = (self._rest + self._decoder.decode(chunk)).split("\n")
        *pieces, self._rest = _pieces(rest)
        self._keep([piece for line in lines for piece in _pieces(line)] + pieces)

    def finish(self) -> None:
        """The output is complete; what is left is a line too."""
        rest, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        if rest:
            self._keep([rest])

    def tail(self, size: int = 2000) -> str:
        """The last `size` characters that were stored."""
        return self.path.read_text("utf-8")[-size:].strip() if self.path.exists() else ""

    def _keep(self, lines: list[str]) -> None:
        new: list[str] = []
        for line in lines:
            masked = self._masking.line(_printable(line))
            if self._stored:
                self._stored -= 1
            else:
                new.append(masked)
        if not new:
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in new)
        except OSError as error:
            raise CommandLostError(
                f"cannot keep the output in {self.path}: {error.strerror}",
                reason="RecordUnwritable",
                hint="free space or mend permissions, then run the same command again",
            ) from error
        for line in new:
            self._show(line)


def _pieces(line: str) -> list[str]:
    """The line, cut at the same places however its bytes came."""
    starts = range(0, max(len(line), 1), _LONGEST_LINE)
    return [line[start : start + _LONGEST_LINE] for start in starts]


def _printable(line: str) -> str:
    """The line as a terminal would leave it: of what was overwritten only the last is kept."""
    last = line.rstrip("\r").rpartition("\r")[2]
    return _CONTROLS.sub("", _ESCAPES.sub("", last))


def _whole_lines(path: Path) -> int:
    """How many lines the file has; a torn last one is cut off."""
    if not path.exists():
        return 0
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return whole.count(b"\n")
