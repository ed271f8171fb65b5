"""Where a repository lies: a URL made into blobs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import SplitResult, unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import AzureStore, GCSStore, MemoryStore, S3Store

from shipkeeper.store.aws_profile import profile
from shipkeeper.store.blobs import Blobs
from shipkeeper.store.buckets import CLIENT, RETRIES, Bucket, ObjectStorage
from shipkeeper.store.errors import LocationError
from shipkeeper.store.folder import Folder

if TYPE_CHECKING:
    from obstore.store import AzureConfig, ClientConfig, GCSConfig, S3Config

_PREFIXES = {
    ("s3", "s3a"): "AWS_",
    ("gs",): "GOOGLE_",
    ("az", "abfs", "abfss", "azure"): "AZURE_",
}
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


def open_location(
    url: str,
    *,
    endpoint: str = "",
    environment: Mapping[str, str] = os.environ,
    settings: Mapping[str, str] | None = None,
) -> Blobs:
    """Blobs at `/folder`, `file://`, `s3://bucket/prefix`, `gs://…`, `az://…` or `memory://`.

    Credentials come from the environment as the vendors' tools take them (AWS_ACCESS_KEY_ID and
    its like, AWS_PROFILE, web identities, instance roles; GOOGLE_APPLICATION_CREDENTIALS;
    AZURE_STORAGE_…); `endpoint` overrides the vendor's (or AWS_ENDPOINT_URL). `settings` are the
    same variables by hand, and come before the environment's. LocationError when the URL or a
    setting makes no sense.
    """
    parts = urlsplit(url)
    if parts.query or parts.fragment or parts.username:
        raise LocationError(f"{url}: a repository URL has neither query, fragment nor user")
    if parts.scheme in ("", "file"):
        return _folder(url, parts.netloc, unquote(parts.path))
    if parts.scheme == "memory":
        return ObjectStorage(MemoryStore(), "memory://")
    if not parts.netloc:
        raise LocationError(f"{url}: the bucket is missing")
    given = settings or {}
    endpoint = endpoint or _configured_endpoint(parts.scheme, {**environment, **given})
    bucket = _bucket(parts, endpoint, {**environment, **given}, _vendors(parts.scheme, given))
    return ObjectStorage(bucket, url.rstrip("/"))


def _folder(url: str, host: str, path: str) -> Folder:
    if host not in ("", "localhost"):
        raise LocationError(f"{url}: a folder on another host; file:// takes three slashes")
    if not path:
        raise LocationError("the repository URL is empty")
    return Folder(Path(path).absolute())


def _configured_endpoint(scheme: str, environment: Mapping[str, str]) -> str:
    if scheme != "s3":
        return ""
    return next((environment[name] for name in _ENDPOINTS if environment.get(name)), "")


def _vendors(scheme: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """The settings of this kind of object storage, as its library calls them."""
    prefix = next((words for schemes, words in _PREFIXES.items() if scheme in schemes), "")
    return {
        name.lower(): value
        for name, value in settings.items()
        if prefix and name.startswith(prefix) and name not in _ENDPOINTS
    }


def _bucket(
    parts: SplitResult, endpoint: str, environment: Mapping[str, str], given: Any
) -> Bucket:
    try:
        return _opened(parts, endpoint, environment, given)
    except BaseError as error:
        # What it says may quote a value.
        raise LocationError(
            f"{parts.scheme}://{parts.netloc}: the object store's settings make no sense "
            f"({type(error).__name__}; given are {', '.join(sorted(given)) or 'none'})"
        ) from None


def _opened(
    parts: SplitResult, endpoint: str, environment: Mapping[str, str], given: Any
) -> Bucket:
    bucket, prefix = parts.netloc, parts.path.strip("/") or None
    # Plain HTTP only where the user wrote it into the endpoint.
    client: ClientConfig = {**CLIENT, "allow_http": endpoint.startswith("http://")}
    match parts.scheme:
        case "s3" | "s3a":
            s3 = cast("S3Config", {**profile(environment), **given})
            if endpoint:
                s3["endpoint"] = endpoint
            return S3Store(
                bucket, config=s3, prefix=prefix, client_options=client, retry_config=RETRIES
            )
        case "gs":
            at: GCSConfig = {"base_url": endpoint} if endpoint else {}
            gs = cast("GCSConfig", {**given, **at})
            return GCSStore(
                bucket, config=gs, prefix=prefix, client_options=client, retry_config=RETRIES
            )
        case "az" | "abfs" | "abfss" | "azure":
            place: AzureConfig = {"endpoint": endpoint} if endpoint else {}
            az = cast("AzureConfig", {**given, **place})
            return AzureStore(
                bucket, config=az, prefix=prefix, client_options=client, retry_config=RETRIES
            )
        case _:
            raise LocationError(f"{parts.scheme}://: no such kind of object storage")
