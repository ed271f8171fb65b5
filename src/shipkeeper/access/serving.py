"""A webhook for SubjectAccessReviews, over TLS, that answers from files and follows their changes.

HTTP/1.1 as an API server speaks it: POSTs with a length, many on one connection.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from shipkeeper.access.abac import parse_abac
from shipkeeper.access.attributes import Attributes
from shipkeeper.access.decision import Opinion
from shipkeeper.access.observe import read_folder
from shipkeeper.access.rbac import Rbac
from shipkeeper.access.review import InvalidReviewError, ReviewSpec, read_spec
from shipkeeper.errors import ShipkeeperError, UsageError

Decide = Callable[[Attributes], Opinion]
_LARGEST = 1024 * 1024
_VERSIONS = ("authorization.k8s.io/v1", "authorization.k8s.io/v1beta1")
_KIND = "SubjectAccessReview"
_MINOR = 37
_PHRASES = {200: "OK", 400: "Bad Request", 404: "Not Found", 413: "Content Too Large"}


class ServeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where to serve, with which certificate, to whom, and what is decided by.

    With `client_ca` only clients with a certificate of that authority are answered. `denies` says
    no for good where no file says yes, and does not leave it to the next authorizer.
    """

    policy: Path
    certificate: Path
    key: Path
    client_ca: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    denies: bool = False


class ServeError(ShipkeeperError):
    """The webhook cannot be served."""


class PolicyFile:
    """An ABAC file or a folder of RBAC manifests, read again when it changes.

    A change that makes no sense is told, and what was read before stays.
    """

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._path = path
        self._say = say
        self._stamp = self._look()
        self._decide = self._read()

    def decide(self, asked: Attributes) -> Opinion:
        """What the files say now."""
        return self._decide(asked)

    def refresh(self) -> None:
        """Read them again if they changed."""
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._decide = self._read()
        except (ShipkeeperError, OSError) as error:
            self._say(f"{self._path} changed, and is left as it was before: {error}")
        else:
            self._say(f"{self._path} changed: read again")

    def _read(self) -> Decide:
        if self._path.is_dir():
            policy = read_folder(self._path)
            return Rbac(policy.roles, policy.bindings).authorize
        try:
            text = self._path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(
                f"cannot read {self._path}: {error}",
                reason="NoPolicyFile",
                hint="name an ABAC policy file, or a folder of RBAC manifests",
            ) from error
        return parse_abac(text, str(self._path)).authorize

    def _look(self) -> tuple[tuple[str, int, int], ...]:
        found = [self._path, *self._path.rglob("*")] if self._path.is_dir() else [self._path]
        stamps: list[tuple[str, int, int]] = []
        for path in sorted(found):
            with suppress(FileNotFoundError):
                status = path.stat()
                stamps.append((str(path), status.st_mtime_ns, status.st_size))
        return tuple(stamps)


@asynccontextmanager
async def serving(
    options: ServeOptions, say: Callable[[str], None], *, look_every: float = 1.0
) -> AsyncGenerator[str]:
    """Serve until the block ends; yields the URL. Files are looked at every so many seconds."""
    policy = PolicyFile(options.policy, say)
    try:
        server = await asyncio.start_server(
            lambda reader, writer: _converse(reader, writer, policy, denies=options.denies),
            options.host,
            options.port,
            ssl=_tls(options),
            limit=_LARGEST,
        )
    except OSError as error:
        raise ServeError(
            f"cannot serve at {options.host}:{options.port}: {error.strerror}",
            reason="AddressTaken",
            hint="choose another address with --address",
        ) from error
    looking = asyncio.create_task(_follow(policy, look_every))
    port = server.sockets[0].getsockname()[1]
    try:
        async with server:
            yield f"https://{options.host}:{port}/authorize"
    finally:
        looking.cancel()


def _tls(options: ServeOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=options.client_ca)
        context.load_cert_chain(options.certificate, options.key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"cannot serve with these certificates: {error}",
            reason="BadCertificate",
            hint="name PEM files with --tls-cert-file, --tls-private-key-file, --client-ca-file",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


async def _follow(policy: PolicyFile, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        policy.refresh()


async def _converse(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    policy: PolicyFile,
    *,
    denies: bool,
) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError:
                break
            method, path, length = _parse_head(head)
            if length > _LARGEST:
                writer.write(_response(413, b""))
                break
            body = await reader.readexactly(length)
            writer.write(_answer(method, path, body, policy, denies=denies))
            await writer.drain()
    writer.close()
    with suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()


def _parse_head(head: bytes) -> tuple[str, str, int]:
    request, *lines = head.decode("latin-1").split("\r\n")
    method, _, rest = request.partition(" ")
    length = 0
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-length" and value.strip().isdecimal():
            length = int(value)
    return method, rest.partition(" ")[0], length


def _answer(method: str, path: str, body: bytes, policy: PolicyFile, *, denies: bool) -> bytes:
    if method == "GET" and path == "/healthz":
        return _response(200, b"ok")
    if method != "POST":
        return _response(404, b"")
    try:
        return _response(200, review(body, policy.decide, denies=denies))
    except (msgspec.MsgspecError, InvalidReviewError) as error:
        return _response(400, str(error).encode())


class _Review(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str = ""
    kind: str = ""
    spec: ReviewSpec = ReviewSpec()


def review(body: bytes, decide: Decide, *, denies: bool = False) -> bytes:
    """The answer to a SubjectAccessReview of v1 or v1beta1, in the version of the question."""
    asked = msgspec.json.decode(body, type=_Review)
    if asked.kind != _KIND or asked.api_version not in _VERSIONS:
        raise msgspec.ValidationError(f"not a {_KIND}: {asked.api_version} {asked.kind}")
    opinion = decide(read_spec(asked.spec, _MINOR).attributes)
    allowed = opinion.decision == "Allow"
    status: dict[str, Any] = {"allowed": allowed, "reason": opinion.rule or opinion.reason}
    if denies and not allowed:
        status["denied"] = True
    answer = {"apiVersion": asked.api_version, "kind": _KIND, "status": status}
    return msgspec.json.encode(answer)


def _response(code: int, body: bytes) -> bytes:
    type_ = "application/json" if body[:1] == b"{" else "text/plain"
    head = f"HTTP/1.1 {code} {_PHRASES[code]}\r\nContent-Type: {type_}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
