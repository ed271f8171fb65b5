"""Third way: the official release downloads, each compared with its published checksum."""

import hashlib
import os
import platform
import re
import shutil
import tarfile
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import cast
from urllib.error import HTTPError, URLError

from shipkeeper.sandbox.assets.engines import ETCD, NotServedError
from shipkeeper.sandbox.assets.versions import FITTING_ETCD, pairing
from shipkeeper.sandbox.assets.workshop import Workshop

KUBERNETES_MIRROR = "SHIPKEEPER_KUBERNETES_MIRROR"
ETCD_MIRROR = "SHIPKEEPER_ETCD_MIRROR"
_OFFICIAL = {
    KUBERNETES_MIRROR: "https://dl.k8s.io",
    ETCD_MIRROR: "https://github.com/etcd-io/etcd/releases/download",
}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64le", "s390x": "s390x"}
# Seconds. The small files come first, so that a host out of reach is noticed soon.
_SHORT, _LONG = 3.0, 60.0
_CHUNK = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


def download(workshop: Workshop) -> None:
    """Fetch the engines and a fitting etcd; NotServedError for a missing or unlike file."""
    architecture = _architecture()
    folder = f"{_base(KUBERNETES_MIRROR)}/release/{workshop.version}/bin/linux/{architecture}"
    files = {f"{folder}/{name}": workshop.directory / name for name in workshop.kit.kubernetes}
    checksums = {url: _published_checksum(f"{url}.sha256") for url in files}
    archive = workshop.scratch / "etcd.tar.gz"
    if workshop.kit.etcd:
        etcd = _etcd_archive(workshop.version, architecture)
        files[etcd] = archive
        checksums[etcd] = _published_checksum(f"{etcd.rpartition('/')[0]}/SHA256SUMS", of=etcd)
    for url, target in files.items():
        workshop.tell(f"downloading {url}")
        _fetch(url, target, checksums[url])
    if workshop.kit.etcd:
        _unpack_etcd(archive, workshop.directory / ETCD)
    for name in workshop.kit.names:
        (workshop.directory / name).chmod(0o755)


def newest_patch(minor: int) -> str:
    """The newest release of Kubernetes 1.`minor`, as its publishers say."""
    version = _text(f"{_base(KUBERNETES_MIRROR)}/release/stable-1.{minor}.txt").strip()
    if not re.fullmatch(rf"v1\.{minor}\.\d+", version):
        raise NotServedError(f"{version[:40]!r} is not a release of Kubernetes 1.{minor}")
    return version


def _base(variable: str) -> str:
    base = os.environ.get(variable) or _OFFICIAL[variable]
    if not base.startswith(("http://", "https://")):
        raise NotServedError(f"{variable} is {base!r}, which is not an http or https address")
    return base.rstrip("/")


def _architecture() -> str:
    machine = platform.machine()
    if platform.system() != "Linux" or machine not in _ARCHITECTURES:
        raise NotServedError(f"there are no releases for {platform.system()} on {machine}")
    return _ARCHITECTURES[machine]


def _etcd_archive(kubernetes_version: str, architecture: str) -> str:
    version = pairing(kubernetes_version, FITTING_ETCD)
    return f"{_base(ETCD_MIRROR)}/v{version}/etcd-v{version}-linux-{architecture}.tar.gz"


def _published_checksum(url: str, *, of: str = "") -> str:
    """The checksum that a `.sha256` file holds, or a list of checksums gives for the file `of`."""
    wanted = of.rpartition("/")[2]
    for line in _text(url).splitlines():
        checksum, _, name = line.partition(" ")
        if _SHA256.fullmatch(checksum) and (not of or name.strip() == wanted):
            return checksum
    raise NotServedError(f"{url} gives no checksum{' for ' + wanted if of else ''}")


def _fetch(url: str, target: Path, checksum: str) -> None:
    digest, size = hashlib.sha256(), 0
    with closing(_open(url, _LONG)) as response, target.open("wb") as file:
        expected = response.headers.get("Content-Length")
        for chunk in _chunks(response, url):
            digest.update(chunk)
            size += len(chunk)
            file.write(chunk)
    if expected and size != int(expected):
        raise NotServedError(f"{url} broke off after {size} of {expected} bytes")
    if digest.hexdigest() != checksum:
        raise NotServedError(
            f"{url} is refused: its sha256 is {digest.hexdigest()}, published is {checksum}"
        )


def _unpack_etcd(archive: Path, target: Path) -> None:
    try:
        with tarfile.open(archive) as files:
            for member in files:
                if member.name.endswith("/etcd") and (content := files.extractfile(member)):
                    with content, target.open("wb") as file:
                        shutil.copyfileobj(content, file, _CHUNK)
                    return
    except tarfile.TarError as error:
        raise NotServedError(f"the etcd archive cannot be read: {error}") from error
    raise NotServedError("the etcd archive holds no etcd")


def _text(url: str) -> str:
    with closing(_open(url, _SHORT)) as response:
        return b"".join(_chunks(response, url)).decode(errors="replace")


def _open(url: str, timeout: float) -> HTTPResponse:
    try:
        # _base admits nothing but http and https.
        return cast("HTTPResponse", urllib.request.urlopen(url, timeout=timeout))  # noqa: S310
    except HTTPError as error:
        raise NotServedError(f"{url}: {error.code} {error.reason}") from error
    except URLError as error:
        raise NotServedError(f"{url}: {error.reason}") from error
    except (OSError, HTTPException) as error:
        raise NotServedError(f"{url}: {error}") from error


def _chunks(response: HTTPResponse, url: str) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read(_CHUNK)
        except (OSError, HTTPException) as error:
            raise NotServedError(f"{url} broke off: {error}") from error
        if not chunk:
            return
        yield chunk
