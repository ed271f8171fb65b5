"""The user's side: a token from the gateway, for which the password is asked once a session."""

import http.client
import os
import ssl
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

import msgspec

from shipkeeper.errors import ShipkeeperError, UsageError
from shipkeeper.login.tokens import Issued
from shipkeeper.paths import cache_dir

_SECONDS = 30
# A token that ends sooner is renewed first: the request for which it is meant takes its time.
_LEAST_LEFT = 60
_LARGEST = 64 * 1024


class LoginError(ShipkeeperError):
    """Nobody is logged in."""


class Gateway:
    """A gateway by its URL; `tls` says whose certificate it must have."""

    def __init__(self, url: str, tls: ssl.SSLContext) -> None:
        found = urlsplit(url)
        if found.scheme != "https" or not found.hostname:
            raise UsageError(
                f"not the URL of a gateway: {url}",
                reason="NoGateway",
                hint="passwords are sent over TLS alone: --server=https://HOST:PORT",
            )
        self.url = url
        self._host, self._port, self._tls = found.hostname, found.port or 443, tls

    def login(self, login: str, password: str) -> Issued:
        """A session's first token; LoginError with what the gateway says."""
        code, body = self._post("/login", {"login": login, "password": password}, {})
        return self._token(code, body)

    def renew(self, issued: Issued) -> Issued | None:
        """The session's next token; None if it is over."""
        header = {"Authorization": f"Bearer {issued.renewal}"}
        code, body = self._post("/renew", {}, header)
        return None if code == http.client.UNAUTHORIZED else self._token(code, body)

    def _token(self, code: int, body: bytes) -> Issued:
        try:
            if code == http.client.OK:
                return msgspec.json.decode(body, type=Issued)
            said = str(msgspec.json.decode(body, type=dict[str, Any]).get("error"))
        except msgspec.DecodeError:
            said = f"it answers with HTTP status {code}"
        raise LoginError(
            f"{self.url}: {said}", reason="LoginRefused", hint="try again, or ask an administrator"
        )

    def _post(self, path: str, body: Any, headers: dict[str, str]) -> tuple[int, bytes]:
        # http.client and not urllib: no proxy of the environment is to see a password.
        connection = http.client.HTTPSConnection(
            self._host, self._port, timeout=_SECONDS, context=self._tls
        )
        try:
            connection.request("POST", path, msgspec.json.encode(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read(_LARGEST)
        except (OSError, http.client.HTTPException) as error:
            raise LoginError(
                f"no answer from {self.url}: {error}",
                reason="NoAnswer",
                hint="see whether the gateway can be reached, and whose certificate it has",
            ) from error
        finally:
            connection.close()


class Kept:
    """The last tokens for a gateway and login, in a file that only its owner may read."""

    def __init__(self, url: str, login: str) -> None:
        name = sha256(f"{url} {login}".encode()).hexdigest()[:24]
        self._path = cache_dir() / "login" / f"{name}.json"

    def read(self) -> Issued | None:
        """What is kept; None if nothing is, or others could have read or written it."""
        try:
            found = self._path.stat()
            is_private = found.st_uid == os.getuid() and not stat.S_IMODE(found.st_mode) & 0o077
            return msgspec.json.decode(self._path.read_bytes(), type=Issued) if is_private else None
        except (OSError, msgspec.DecodeError):
            # Without one the password is asked for, and a good one put in its place.
            return None

    def write(self, issued: Issued) -> None:
        """Keep these instead."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial = self._path.with_suffix(f".{os.getpid()}")
        # Private from its first moment on.
        opened = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(opened, "wb") as file:
            file.write(msgspec.json.encode(issued))
        partial.replace(self._path)

    def forget(self) -> None:
        """Keep none."""
        self._path.unlink(missing_ok=True)


def current_token(gateway: Gateway, kept: Kept, login: str, password: Callable[[], str]) -> Issued:
    """A token that is good: the one that is kept, its successor, or that of a new session."""
    issued, now = kept.read(), datetime.now(UTC).timestamp()
    if issued is not None and issued.ends - now > _LEAST_LEFT:
        return issued
    is_going_on = issued is not None and issued.session_ends > now
    issued = gateway.renew(issued) if issued is not None and is_going_on else None
    if issued is None:
        kept.forget()
        issued = gateway.login(login, password())
    kept.write(issued)
    return issued


def trust(authority: str, data: bytes | None) -> ssl.SSLContext:
    """Trust in the authority of a file, of PEM data, or those of this machine."""
    try:
        cadata = data.decode() if data else None
        context = ssl.create_default_context(cafile=authority or None, cadata=cadata)
    except (OSError, ValueError, ssl.SSLError) as error:
        raise UsageError(
            f"cannot trust this authority: {error}",
            reason="NoAuthority",
            hint="name a PEM file with --certificate-authority",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
