"""What the API server, or the way to it, can answer instead of what was asked for."""

from datetime import datetime, timedelta
from typing import ClassVar

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.request import RequestInfo
from shipkeeper.model.base import KubeStruct


class StatusCause(KubeStruct, frozen=True, kw_only=True):
    """One reason behind a refusal."""

    reason: str = ""
    message: str = ""
    field: str = ""


class StatusDetails(KubeStruct, frozen=True, kw_only=True):
    """What a refusal is about."""

    name: str = ""
    kind: str = ""
    uid: str = ""
    causes: tuple[StatusCause, ...] | None = None
    retry_after_seconds: int = 0


class Status(KubeStruct, frozen=True, kw_only=True):
    """The API server's answer when it does not give an object (meta/v1 Status)."""

    code: int = 0
    reason: str = ""
    message: str = ""
    details: StatusDetails | None = None

    @property
    def causes(self) -> tuple[StatusCause, ...]:
        """The causes it names, none when it names none."""
        return (self.details.causes or ()) if self.details else ()

    def has_cause(self, reason: str) -> bool:
        """Whether it names a cause of this reason."""
        return any(cause.reason == reason for cause in self.causes)


class ApiError(ShipkeeperError):
    """The API server refused a request; carries its Status and Retry-After."""

    code: ClassVar[int] = 0

    def __init__(
        self,
        message: str,
        status: Status,
        *,
        retry_after: timedelta | None = None,
        reason: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, reason=reason or status.reason or "ApiError", hint=hint)
        self.status = status
        self.retry_after = retry_after


class UnauthorizedError(ApiError):
    """401: the API server does not know who asks."""

    code = 401


class ForbiddenError(ApiError):
    """403: the API server knows who asks and does not allow it."""

    code = 403


class NotFoundError(ApiError):
    """404: no such object, or no such kind."""

    code = 404


class ConflictError(ApiError):
    """409: the object changed meanwhile, or exists already."""

    code = 409


class InvalidError(ApiError):
    """422: the object would be invalid, or a JSON patch's test failed."""

    code = 422


class ExpiredError(ApiError):
    """410: the revision or the page token asked for is no longer kept."""

    code = 410


class TooManyRequestsError(ApiError):
    """429: a budget is used up (cause DisruptionBudget) or the server asks to slow down."""

    code = 429


class UnreachableError(ShipkeeperError):
    """No answer came from the API server; `was_sent` tells whether it may have got the request."""

    def __init__(self, message: str, *, reason: str, hint: str, was_sent: bool) -> None:
        super().__init__(message, reason=reason, hint=hint)
        self.was_sent = was_sent


class MalformedAnswerError(ShipkeeperError):
    """An answer came, but not one that a Kubernetes API server gives."""

    def __init__(self, asked: RequestInfo, cause: Exception) -> None:
        super().__init__(
            f"cannot read the answer (to {asked}): {cause}",
            reason="MalformedAnswer",
            hint="is this URL a Kubernetes API server, or does something on the way answer for it?",
        )


_BY_CODE: dict[int, type[ApiError]] = {
    kind.code: kind
    for kind in (
        UnauthorizedError,
        ForbiddenError,
        NotFoundError,
        ConflictError,
        InvalidError,
        ExpiredError,
        TooManyRequestsError,
    )
}


def api_error(code: int, body: bytes, retry_after: str | None, *, asked: RequestInfo) -> ApiError:
    """Make the error of an answer; `retry_after` is that header's value, in seconds."""
    status = _decode(code, body)
    return _BY_CODE.get(code, ApiError)(
        _message(code, status, asked),
        status,
        retry_after=_retry_after(retry_after, status),
        hint=_hint(code, asked),
    )


def certificate_expired(status: Status, expiry: datetime) -> UnauthorizedError:
    """Make the error of a 401 that a client certificate earned after its expiry."""
    return UnauthorizedError(
        f"the client certificate of this kubeconfig user expired at {expiry:%F %T}Z",
        status,
        reason="CertificateExpired",
        hint="renew it (on a kubeadm control plane: kubeadm certs renew admin.conf)",
    )


def _decode(code: int, body: bytes) -> Status:
    try:
        status = msgspec.json.decode(body, type=Status)
    except msgspec.DecodeError:
        return Status(code=code, message=body[:300].decode("utf-8", "replace").strip())
    return msgspec.structs.replace(status, code=code)


def _retry_after(header: str | None, status: Status) -> timedelta | None:
    if header and header.isdigit():
        return timedelta(seconds=int(header))
    seconds = status.details.retry_after_seconds if status.details else 0
    return timedelta(seconds=seconds) if seconds else None


def _message(code: int, status: Status, asked: RequestInfo) -> str:
    if code == ForbiddenError.code:
        return f"not allowed to {asked}: {status.message}"
    if code == UnauthorizedError.code:
        return f"the API server does not accept these credentials (to {asked})"
    return status.message or f"the API server answered {code} (to {asked})"


def _hint(code: int, asked: RequestInfo) -> str:
    if code == ForbiddenError.code:
        return f"ask for the permission, then check it: kubectl auth can-i {asked.permission}"
    if code == UnauthorizedError.code:
        return "renew the token or certificate of this kubeconfig user"
    return ""
