"""Where a repository lies: a URL made into blobs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from obstore.store import AzureStore, GCSStore, MemoryStore, S3Store

from shipkeeper.store.aws_profile import profile
from shipkeeper.store.blobs import Blobs
from shipkeeper.store.buckets import CLIENT, RETRIES, Bucket, ObjectStorage
from shipkeeper.store.errors import LocationError
from shipkeeper.store.folder import Folder

if TYPE_CHECKING:
    from obstore.store import AzureConfig, ClientConfig, GCSConfig, S3Config

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


def open_location(
    url: str, *, endpoint: str = "", environment: Mapping[str, str] = os.environ
) -> Blobs:
    """Blobs at `/folder`, `file://`, `s3://bucket/prefix`, `gs://…`, `az://…` or `memory://`.

    Credentials come from the environment as the vendors' tools take them (AWS_ACCESS_KEY_ID and
    its like, AWS_PROFILE, web identities, instance roles; GOOGLE_APPLICATION_CREDENTIALS;
    AZURE_STORAGE_…); `endpoint` overrides the vendor's (or AWS_ENDPOINT_URL). LocationError when
    the URL makes no sense.
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
    endpoint = endpoint or _configured_endpoint(parts.scheme, environment)
    return ObjectStorage(_bucket(parts, endpoint, environment), url.rstrip("/"))


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


def _bucket(parts: SplitResult, endpoint: str, environment: Mapping[str, str]) -> Bucket:
    bucket, prefix = parts.netloc, parts.path.strip("/") or None
    # Plain HTTP only where the user wrote it into the endpoint.
    client: ClientConfig = {**CLIENT, "allow_http": endpoint.startswith("http://")}
    match parts.scheme:
        case "s3" | "s3a":
            s3: S3Config = {**profile(environment)}
            if endpoint:
                s3["endpoint"] = endpoint
            return S3Store(
                bucket, config=s3, prefix=prefix, client_options=client, retry_config=RETRIES
            )
        case "gs":
            gs: GCSConfig = {"base_url": endpoint} if endpoint else {}
            return GCSStore(
                bucket, config=gs, prefix=prefix, client_options=client, retry_config=RETRIES
            )
        case "az" | "abfs" | "abfss" | "azure":
            az: AzureConfig = {"endpoint": endpoint} if endpoint else {}
            return AzureStore(
                bucket, config=az, prefix=prefix, client_options=client, retry_config=RETRIES
            )
        case _:
            raise LocationError(f"{parts.scheme}://: no such kind of object storage")
