"""A SHA-256 that is computed beside other work: hashing lets other threads run."""

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

_BEHIND: Final = 4  # batches that may wait: more would only cost memory


class BackgroundDigest:
    """Takes bytes batch by batch; a context that ends its thread."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._pool = ThreadPoolExecutor(1)
        self._waiting: list[Future[None]] = []

    def __enter__(self) -> "BackgroundDigest":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def update(self, batch: bytes) -> None:
        """Take the next bytes; waits only when the hashing is far behind."""
        if len(self._waiting) >= _BEHIND:
            self._waiting.pop(0).result()
        self._waiting.append(self._pool.submit(self._digest.update, batch))

    def value(self) -> bytes:
        """The digest of all bytes so far."""
        while self._waiting:
            self._waiting.pop(0).result()
        return self._digest.digest()
