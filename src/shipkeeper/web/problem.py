"""What went wrong, as the page is told it: reason, message, hint, and the fitting HTTP status."""

from starlette.requests import Request
from starlette.responses import Response

from shipkeeper.errors import BlockedError, LockHeldError, ShipkeeperError, UsageError
from shipkeeper.kube.access import NotPermittedError
from shipkeeper.kube.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    UnauthorizedError,
    UnreachableError,
)
from shipkeeper.web.answers import json_response

_CODES: tuple[tuple[type[Exception], int], ...] = (
    (UnauthorizedError, 401),
    (ForbiddenError, 403),
    (NotPermittedError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (LockHeldError, 409),
    (BlockedError, 409),
    (UnreachableError, 503),
    (UsageError, 400),
)


class RefusedError(ShipkeeperError):
    """A request that the console itself does not answer; `code` is its HTTP status."""

    def __init__(
        self, code: int, message: str, *, reason: str, hint: str = "", wait: float = 0.0
    ) -> None:
        super().__init__(message, reason=reason, hint=hint)
        self.code = code
        self.wait = wait


def problem_response(error: ShipkeeperError) -> Response:
    """The answer that tells of an error."""
    body = {"reason": error.reason, "message": error.message, "hint": error.hint}
    response = json_response(body, status=_code(error))
    if isinstance(error, RefusedError) and error.wait:
        response.headers["Retry-After"] = str(max(round(error.wait), 1))
    return response


async def explain(_request: Request, error: Exception) -> Response:
    """Starlette's handler for errors that are explained."""
    if not isinstance(error, ShipkeeperError):
        raise error
    return problem_response(error)


def _code(error: ShipkeeperError) -> int:
    if isinstance(error, RefusedError):
        return error.code
    return next((code for kind, code in _CODES if isinstance(error, kind)), 500)
