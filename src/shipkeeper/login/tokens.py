"""The gateway's own tokens: who logged in, signed; what somebody may do is not in them.

Two of a kind: the one is for API servers and ends soon; the other gets the next of these from the
gateway until the session is over, and no API server ever sees it.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Literal

import msgspec

_MARK = "shipkeeper1"
# Longer ones are none of ours, and not worth the arithmetic.
_LONGEST = 4096

Use = Literal["review", "renew"]


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A login; the entry's UID keeps a later user of the same name out. `ends`: UNIX seconds."""

    id: str
    login: str
    uid: str
    ends: int


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A token for API servers, and the one that renews it; each with its end in UNIX seconds."""

    token: str
    ends: int
    renewal: str
    session_ends: int


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    use: Use
    ends: int
    session: Session


class Signer:
    """Makes tokens with its first key, and knows those of all of them."""

    def __init__(self, keys: tuple[bytes, ...], *, lifetime: timedelta, session: timedelta) -> None:
        self._keys = keys
        self._lifetime = round(lifetime.total_seconds())
        self._session = round(session.total_seconds())

    def begin(self, login: str, uid: str, now: datetime) -> tuple[Session, Issued]:
        """A new session and its first tokens."""
        ends = int(now.timestamp()) + self._session
        session = Session(id=secrets.token_hex(8), login=login, uid=uid, ends=ends)
        return session, self.issue(session, now)

    def issue(self, session: Session, now: datetime) -> Issued:
        """The next tokens of a session, none of which outlives it."""
        ends = min(int(now.timestamp()) + self._lifetime, session.ends)
        return Issued(
            token=self._sign(_Claims(use="review", ends=ends, session=session)),
            ends=ends,
            renewal=self._sign(_Claims(use="renew", ends=session.ends, session=session)),
            session_ends=session.ends,
        )

    def read(self, token: str, use: Use, now: datetime) -> Session | None:
        """The session of a token; None if it is none of ours, for another use, or has ended."""
        mark, _, rest = token.partition(".")
        payload, _, signature = rest.partition(".")
        if mark != _MARK or len(token) > _LONGEST or not token.isascii():
            return None
        if not any(hmac.compare_digest(_mac(key, payload), signature) for key in self._keys):
            return None
        claims = msgspec.json.decode(urlsafe_b64decode(payload), type=_Claims)
        return claims.session if claims.use == use and claims.ends > now.timestamp() else None

    def pseudonym(self, text: str) -> str:
        """A name for what must not be written down, the same each time."""
        return _mac(self._keys[0], f"pseudonym {text}")[:12]

    def _sign(self, claims: _Claims) -> str:
        payload = urlsafe_b64encode(msgspec.json.encode(claims)).decode()
        return f"{_MARK}.{payload}.{_mac(self._keys[0], payload)}"


def _mac(key: bytes, text: str) -> str:
    return urlsafe_b64encode(hmac.digest(key, text.encode(), hashlib.sha256)).decode()
