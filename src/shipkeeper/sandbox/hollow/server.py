"""The control socket: a line in, a line out."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.sandbox.hollow.protocol import (
    LINE_LIMIT,
    Problem,
    Reply,
    Request,
    request_decoder,
)

_log = logging.getLogger(__name__)

Obey = Callable[[Request], Awaitable[Reply]]


async def listen(path: Path, obey: Obey) -> None:
    """Answer requests at a Unix socket until cancelled.

    A socket left there by a process that was killed is replaced.
    """

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(msgspec.json.encode(await _answer(line, obey)) + b"\n")
                await writer.drain()
        except ConnectionError as error:
            _log.info("a client hung up: %s", error)
        finally:
            writer.close()

    server = await asyncio.start_unix_server(converse, path, limit=LINE_LIMIT)
    async with server:
        await server.serve_forever()


async def _answer(line: bytes, obey: Obey) -> Reply:
    try:
        return await obey(request_decoder.decode(line))
    except msgspec.DecodeError as error:
        message = f"the hollow nodes do not understand this: {error}"
        return Reply(problem=Problem(message=message, reason="InvalidRequest"))
    except ShipkeeperError as error:
        return Reply(problem=Problem(message=error.message, reason=error.reason, hint=error.hint))
