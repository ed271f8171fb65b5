"""A webhook for SubjectAccessReviews that answers from files and follows their changes."""

import asyncio
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
from shipkeeper.serving import https
from shipkeeper.serving.https import Listen, Request, Response, read_json

Decide = Callable[[Attributes], Opinion]
_VERSIONS = ("authorization.k8s.io/v1", "authorization.k8s.io/v1beta1")
_KIND = "SubjectAccessReview"
_MINOR = 37


class ServeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where to serve, and what is decided by.

    `denies` says no for good where no file says yes, and does not leave it to the next authorizer.
    """

    policy: Path
    listen: Listen
    denies: bool = False


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

    async def answer(request: Request) -> Response:
        return _answer(request, policy, denies=options.denies)

    async with https.serving(options.listen, answer) as url:
        looking = asyncio.create_task(_follow(policy, look_every))
        try:
            yield f"{url}/authorize"
        finally:
            looking.cancel()


async def _follow(policy: PolicyFile, every: float) -> None:
    while True:
        await asyncio.sleep(every)
        policy.refresh()


def _answer(request: Request, policy: PolicyFile, *, denies: bool) -> Response:
    if request.method == "GET" and request.path == "/healthz":
        return Response(200, b"ok")
    if request.method != "POST":
        return Response(404)
    try:
        return Response(200, review(request.body, policy.decide, denies=denies))
    except (ValueError, InvalidReviewError) as error:
        return Response(400, str(error).encode())


class _Review(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str = ""
    kind: str = ""
    spec: ReviewSpec = ReviewSpec()


def review(body: bytes, decide: Decide, *, denies: bool = False) -> bytes:
    """The answer to a SubjectAccessReview of v1 or v1beta1, in the version of the question."""
    asked = read_json(body, _Review)
    if asked.kind != _KIND or asked.api_version not in _VERSIONS:
        raise ValueError(f"not a {_KIND}: {asked.api_version} {asked.kind}")
    opinion = decide(read_spec(asked.spec, _MINOR).attributes)
    allowed = opinion.decision == "Allow"
    status: dict[str, Any] = {"allowed": allowed, "reason": opinion.rule or opinion.reason}
    if denies and not allowed:
        status["denied"] = True
    answer = {"apiVersion": asked.api_version, "kind": _KIND, "status": status}
    return msgspec.json.encode(answer)
