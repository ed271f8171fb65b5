"""Serving metrics over HTTP, for a metrics server that comes and asks."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from shipkeeper.errors import ShipkeeperError, UsageError


class MetricsAddressError(ShipkeeperError):
    """Metrics cannot be served at the address that was given."""


@asynccontextmanager
async def serving(
    address: str, expose: Callable[[], str], content_type: str
) -> AsyncGenerator[str]:
    """Serve what `expose` gives at /metrics of HOST:PORT; yields the URL, port 0 being any.

    UsageError if the address is none, MetricsAddressError if it is taken or not this machine's.
    """
    host, port = parse_address(address)

    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=expose().encode(), headers={"Content-Type": content_type})

    application = web.Application()
    application.router.add_get("/metrics", metrics)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await _listen(runner, host, port)
        yield f"http://{host or 'localhost'}:{runner.addresses[0][1]}/metrics"
    finally:
        await runner.cleanup()


def parse_address(address: str) -> tuple[str, int]:
    """The host (empty for every interface) and port of HOST:PORT, [IPV6]:PORT or :PORT."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise UsageError(
            f"not an address to serve metrics at: {address}",
            reason="NoAddress",
            hint="HOST:PORT, such as --metrics-address=127.0.0.1:9464",
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host or None, port).start()
    except OSError as error:
        raise MetricsAddressError(
            f"cannot serve metrics at {host}:{port}: {error.strerror}",
            reason="MetricsAddress",
            hint="choose a free port of this machine with --metrics-address",
        ) from error
