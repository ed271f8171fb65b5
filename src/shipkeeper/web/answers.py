"""Bodies in and out: JSON of known types, nothing else."""

from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from shipkeeper.errors import UsageError

T = TypeVar("T")


def json_response(value: object, *, status: int = 200) -> Response:
    """A value as JSON that nobody keeps."""
    return Response(
        msgspec.json.encode(value),
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


async def read_body(request: Request, type_: type[T]) -> T:
    """The body as a value of a type; UsageError says what does not fit."""
    return decode(await request.body(), type_)


def decode(body: bytes, type_: type[T]) -> T:
    """JSON as a value of a type; UsageError says what does not fit."""
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise _misfit(error) from error


def read_query(request: Request, type_: type[T]) -> T:
    """The query as a value of a type, numbers written as text; UsageError says what is wrong."""
    return convert_query(dict(request.query_params), type_)


def convert_query(query: dict[str, Any], type_: type[T]) -> T:
    """The same of a dict."""
    try:
        return msgspec.convert(query, type_, strict=False)
    except msgspec.ValidationError as error:
        raise _misfit(error) from error


def _misfit(error: Exception) -> UsageError:
    return UsageError(
        f"this request does not make sense: {error}",
        reason="BadRequest",
        hint="reload the page: it may be older than the console",
    )
