"""Age identities out of their files; one under a passphrase is opened in a process of its own.

That takes a second and 256 MiB (scrypt), and the library holds Python's lock all the while: nothing
else would go on here, the renewal of the Lease neither.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Collection

import msgspec

from shipkeeper.store.errors import KeyFileError, StoreError, WrongKeyError
from shipkeeper.store.keys import ReaderKey, is_sealed, read_reader_key


class _Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What the process is given."""

    content: bytes
    source: str
    passphrase: str


class _Opened(msgspec.Struct, frozen=True, kw_only=True):
    """What it answers: the identity, or else what went wrong."""

    identity: str = ""
    is_wrong_key: bool = False
    message: str = ""
    hint: str = ""


class Identities:
    """The identities that were opened, as long as the Secrets that they are in are the same."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._known: dict[str, tuple[str, ReaderKey]] = {}

    async def get(
        self, secret: str, version: str, read: Callable[[], Awaitable[ReaderKey]]
    ) -> ReaderKey:
        """The identity in a version of a Secret; it is read once, and one at a time."""
        async with self._turn:
            known_version, key = self._known.get(secret, ("", None))
            if key is None or known_version != version:
                key = await read()
                self._known[secret] = (version, key)
            return key

    def keep(self, secrets: Collection[str]) -> None:
        """Forget the identities in all Secrets but these."""
        for each in [each for each in self._known if each not in secrets]:
            del self._known[each]

    def forget(self, secret: str) -> None:
        """Forget the identity in a Secret that is gone."""
        self._known.pop(secret, None)


async def unsealed(content: bytes, source: str, passphrase: str) -> ReaderKey:
    """The identity in a file's bytes; KeyFileError or WrongKeyError, which name the source."""
    if not passphrase or not is_sealed(content):
        return read_reader_key(content, source, passphrase)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    asked = _Sealed(content=content, source=source, passphrase=passphrase)
    try:
        said, _ = await process.communicate(msgspec.json.encode(asked))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise KeyFileError(
            f"{source} could not be opened: the process that does it ended with "
            f"{process.returncode}",
            hint="it takes 256 MiB of memory for a second: see the operator's limits",
        )
    answer = msgspec.json.decode(said, type=_Opened)
    if answer.identity:
        return ReaderKey(identity=answer.identity)
    error = WrongKeyError if answer.is_wrong_key else KeyFileError
    raise error(answer.message, hint=answer.hint)


def _open(asked: _Sealed) -> _Opened:
    try:
        key = read_reader_key(asked.content, asked.source, asked.passphrase)
    except StoreError as error:
        is_wrong_key = isinstance(error, WrongKeyError)
        return _Opened(is_wrong_key=is_wrong_key, message=error.message, hint=error.hint)
    return _Opened(identity=key.identity)


if __name__ == "__main__":
    found = msgspec.json.decode(sys.stdin.buffer.read(), type=_Sealed)
    sys.stdout.buffer.write(msgspec.json.encode(_open(found)))
