"""The way to a member of etcd: its gRPC calls, as bytes in and bytes out.

Only this module knows gRPC. Messages are taken apart by `wire`: there are few of them, and
generated stubs would cost more time at start than a snapshot of a small cluster takes.
"""

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlsplit

import msgspec

from shipkeeper.errors import UsageError
from shipkeeper.etcd.errors import EtcdError

# gRPC reads this once, and else writes its own lines about failed handshakes to stderr.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
import grpc

MAINTENANCE: Final = "/etcdserverpb.Maintenance/"
CLUSTER: Final = "/etcdserverpb.Cluster/"
KV: Final = "/etcdserverpb.KV/"

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    # Nothing between us and etcd may see what it holds.
    ("grpc.enable_http_proxy", 0),
    # A snapshot's pieces are read in the thread that asks for them: a third of the time.
    ("SingleThreadedUnaryStream", 1),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 10_000),
)
_PORT: Final = 2379


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """Files for mutual TLS, as etcdctl's flags name them; empty where none is used."""

    cacert: str = ""
    cert: str = ""
    key: str = ""


class RpcError(EtcdError):
    """A member did not do what it was asked for; `code` is gRPC's own word."""

    def __init__(self, message: str, *, code: str, reason: str = "", hint: str = "") -> None:
        super().__init__(message, reason=reason or "EtcdCallFailed", hint=hint)
        self.code = code


class MemberClient:
    """An open channel to one member."""

    def __init__(self, endpoint: str, credentials: Credentials, channel: grpc.Channel) -> None:
        self.endpoint = endpoint
        self._credentials = credentials
        self._channel = channel

    def call(self, method: str, request: bytes = b"", timeout: float = 10.0) -> bytes:
        """One answer to one request; RpcError otherwise."""
        invoke = cast("Callable[..., bytes]", self._channel.unary_unary(method))
        try:
            return invoke(request, timeout=timeout)
        except grpc.RpcError as error:
            raise self._explain(error, method) from error

    def stream(self, method: str, request: bytes = b"") -> Iterator[bytes]:
        """Many answers to one request; RpcError when the stream breaks."""
        invoke = cast("Callable[..., Any]", self._channel.unary_stream(method))
        answers = invoke(request)
        try:
            yield from cast("Iterator[bytes]", answers)
        except grpc.RpcError as error:
            raise self._explain(error, method) from error
        finally:
            answers.cancel()

    def _explain(self, error: grpc.RpcError, method: str) -> RpcError:
        known = cast("Any", error)
        code = str(known.code().name)
        details = str(known.details() or "").strip()
        if code == "UNAVAILABLE":
            # Here and not above: what it imports is slow, and as a rule nothing fails.
            from shipkeeper.etcd.probe import probe

            found = probe(self.endpoint, *msgspec.structs.astuple(self._credentials))
            if found:
                return RpcError(found.message, code=code, reason=found.reason, hint=found.hint)
        reason, hint = _REASONS.get(code, ("EtcdCallFailed", "look at the member's log"))
        what = method.rpartition("/")[2]
        return RpcError(
            f"{self.endpoint}: {what}: {details or code}", code=code, reason=reason, hint=hint
        )


_REASONS: Final = {
    "UNIMPLEMENTED": ("NotEtcd", "name a client URL of etcd (port 2379 as a rule)"),
    "UNKNOWN": ("NotEtcd", "name a client URL of etcd (port 2379 as a rule)"),
    "UNAVAILABLE": ("MemberUnavailable", "see whether the member runs and has a leader"),
    "DEADLINE_EXCEEDED": ("MemberSilent", "see whether the member runs and has a leader"),
    "PERMISSION_DENIED": ("PermissionDenied", "use a client certificate of the user root"),
    "UNAUTHENTICATED": ("PermissionDenied", "use a client certificate of the user root"),
    "RESOURCE_EXHAUSTED": ("NoSpace", "compact and defragment, then disarm the alarm"),
}


@contextlib.contextmanager
def open_member(endpoint: str, credentials: Credentials) -> Generator[MemberClient]:
    """A channel to one endpoint (`https://host:port`); nothing is sent before the first call.

    EtcdError when a file of the credentials cannot be read, UsageError for a bad endpoint.
    """
    target, is_secure = target_of(endpoint, credentials)
    if is_secure:
        secrets = grpc.ssl_channel_credentials(
            _read(credentials.cacert), _read(credentials.key), _read(credentials.cert)
        )
        channel = grpc.secure_channel(target, secrets, options=_OPTIONS)
    else:
        channel = grpc.insecure_channel(target, options=_OPTIONS)
    with channel:
        yield MemberClient(endpoint, credentials, channel)


def target_of(endpoint: str, credentials: Credentials) -> tuple[str, bool]:
    """`host:port` of an endpoint, and whether it speaks TLS: without a scheme, if files are named.

    UsageError when it is none.
    """
    parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    try:
        host, port = parts.hostname, parts.port or _PORT
    except ValueError:
        host, port = None, 0
    if not host or parts.scheme not in ("", "http", "https"):
        raise UsageError(
            f"{endpoint!r} is no endpoint",
            reason="InvalidEndpoint",
            hint="an endpoint looks like https://10.0.0.1:2379",
        )
    is_secure = parts.scheme == "https" or (
        not parts.scheme and bool(credentials.cacert or credentials.cert)
    )
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}", is_secure


def _read(path: str) -> bytes | None:
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise EtcdError(
            f"cannot read {path}: {error.strerror}",
            reason="CredentialsUnreadable",
            hint="name files that you may read with --cacert, --cert and --key",
        ) from error
