"""Blobs in a bucket (S3, Google Cloud Storage, Azure) or in memory, by way of obstore."""

import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Generator
from typing import TYPE_CHECKING

from obstore import exceptions
from obstore.store import AzureStore, GCSStore, MemoryStore, S3Store

from shipkeeper.store.blobs import BlobInfo
from shipkeeper.store.errors import (
    AccessDeniedError,
    BlobExistsError,
    BlobMissingError,
    BucketMissingError,
    StoreError,
    StoreFullError,
    UnreachableError,
)

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

Bucket = S3Store | GCSStore | AzureStore | MemoryStore

CLIENT: "ClientConfig" = {
    "connect_timeout": dt.timedelta(seconds=10),
    "read_timeout": dt.timedelta(seconds=60),
    "timeout": dt.timedelta(minutes=5),
}
"""No request waits longer; the default of obstore would cut slow uploads after 30 s."""

RETRIES: "RetryConfig" = {
    "max_retries": 5,
    "retry_timeout": dt.timedelta(seconds=60),
    "backoff": {"init_backoff": dt.timedelta(milliseconds=200), "base": 2},
}

_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
_DENIED = ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "403 Forbidden")
_FULL = ("QuotaExceeded", "XMinioStorageFull", "507 ", "InsufficientStorage")
_SILENT = ("error sending request", "timed out", "connect", "dns", "operation timed out")


class ObjectStorage:
    """A bucket, or a prefix of one; every put is create-only."""

    def __init__(self, bucket: Bucket, url: str) -> None:
        self._bucket = bucket
        self.url = url

    async def create(self, name: str, content: bytes) -> None:
        """One put with `If-None-Match: *` or the vendor's like."""
        with self._explained(name):
            await self._bucket.put_async(name, content, mode="create", use_multipart=False)

    async def read(self, name: str) -> bytes:
        """One GET."""
        with self._explained(name):
            return bytes(await (await self._bucket.get_async(name)).bytes_async())

    async def read_range(self, name: str, start: int, end: int) -> bytes:
        """One GET with a range."""
        with self._explained(name):
            return bytes(await self._bucket.get_range_async(name, start=start, end=end))

    async def info(self, name: str) -> BlobInfo:
        """One HEAD."""
        with self._explained(name):
            found = await self._bucket.head_async(name)
        return BlobInfo(name, found["size"], found["last_modified"])

    async def list(self, prefix: str) -> AsyncIterator[list[BlobInfo]]:
        """LISTs of 1000."""
        with self._explained(prefix):
            async for batch in self._bucket.list(prefix or None, chunk_size=1000):  # pyright: ignore[reportUnknownMemberType] - needs arro3
                yield [BlobInfo(m["path"], m["size"], m["last_modified"]) for m in batch]

    async def remove(self, name: str) -> None:
        """One DELETE."""
        with self._explained(name), contextlib.suppress(FileNotFoundError):
            await self._bucket.delete_async(name)

    @contextlib.contextmanager
    def _explained(self, name: str) -> Generator[None]:
        try:
            yield
        except exceptions.AlreadyExistsError as error:
            raise BlobExistsError(f"{self.url}/{name} exists already") from error
        except FileNotFoundError as error:
            raise self._absent(name, str(error)) from error
        except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
            raise AccessDeniedError(f"{self.url}: {name or 'a list'} is refused") from error
        except exceptions.BaseError as error:
            raise self._explain(str(error)) from error

    def _absent(self, name: str, said: str) -> StoreError:
        if any(word in said for word in _NO_BUCKET):
            return BucketMissingError(f"{self.url}: the bucket does not exist")
        return BlobMissingError(f"there is no {name} in {self.url}")

    def _explain(self, said: str) -> StoreError:
        if any(word in said for word in _NO_BUCKET):
            return BucketMissingError(f"{self.url}: the bucket does not exist")
        if any(word in said for word in _DENIED):
            return AccessDeniedError(f"{self.url} refuses the credentials")
        if any(word in said for word in _FULL):
            return StoreFullError(f"{self.url} has no space left")
        if any(word in said.lower() for word in _SILENT):
            return UnreachableError(f"{self.url} does not answer")
        return StoreError(f"{self.url}: {said.partition(chr(10))[0][:300]}")
