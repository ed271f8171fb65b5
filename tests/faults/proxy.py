"""The proxy itself: TLS in front, the real API server behind, rules that come and go.

The proxy logs in to the server with the client certificate of the kubeconfig it is given; a client
that sends a token of its own is passed through with that and without the certificate.
"""

import asyncio
import re
import ssl
from collections.abc import Iterable
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web
from kubernetes.aio.client import Configuration
from yarl import URL

from shipkeeper.kube.config import ConnectionOptions, load_credentials
from tests.faults.certificate import write_kubeconfig, write_server_certificate
from tests.faults.faults import (
    Answer,
    Delay,
    Drop,
    Fault,
    LoseAnswer,
    StreamFault,
)
from tests.faults.stream import Stream

_HOP_BY_HOP = frozenset({"host", "connection", "content-length", "transfer-encoding"})
_LARGEST_BODY = 64 * 2**20


class Rule:
    """A fault for the requests that match; `count` tells how many have met it."""

    def __init__(self, fault: Fault, method: str, path: str, times: int | None) -> None:
        self.fault = fault
        self.count = 0
        self._method = re.compile(method)
        self._path = re.compile(path)
        self._times = times
        self._met = asyncio.Event()

    def matches(self, method: str, path: str) -> bool:
        """Whether it is for this request, and not used up."""
        is_left = self._times is None or self.count < self._times
        return bool(is_left and self._method.search(method) and self._path.search(path))

    def meet(self) -> None:
        """Count a request that met it."""
        self.count += 1
        self._met.set()

    async def met(self, count: int = 1) -> None:
        """Return when so many requests have met it."""
        while self.count < count:
            self._met.clear()
            await self._met.wait()


class FaultProxy:
    """A running proxy; clients use its `kubeconfig`, and `requests` are what they asked."""

    def __init__(
        self, upstream: Path, directory: Path, *, port: int = 0, not_after: datetime | None = None
    ) -> None:
        self.kubeconfig = directory / "proxy.kubeconfig"
        self.port = port
        self._not_after = not_after
        self.requests: list[str] = []
        self._upstream = upstream
        self._certificate = directory / "proxy.pem"
        self._rules: list[Rule] = []
        self._streams: set[Stream] = set()
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        credentials = await load_credentials(ConnectionOptions(kubeconfig=str(self._upstream)))
        self._server = credentials.server
        self._as_owner = await self._session(credentials.configuration, with_certificate=True)
        self._as_bearer = await self._session(credentials.configuration, with_certificate=False)
        # Started again, it is still the server that its clients trust.
        if not self._certificate.exists():
            write_server_certificate(self._certificate, not_after=self._not_after)
        await self._listen()
        server = f"https://127.0.0.1:{self.port}"
        write_kubeconfig(self.kubeconfig, server, self._certificate)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Break all connections and accept no more."""
        await self._open.aclose()

    def inject(
        self, fault: Fault, *, method: str = "", path: str = "", times: int | None = 1
    ) -> Rule:
        """Harm the next `times` requests (None: all) whose method and path match these patterns.

        The path includes the query; of several rules the first added that is left is met.
        """
        rule = Rule(fault, method, path, times)
        self._rules.append(rule)
        return rule

    def strike(self, fault: StreamFault, *, path: str = "") -> int:
        """Harm the watches that run at this moment; returns how many there are."""
        streams = [each for each in self._streams if re.search(path, each.path)]
        for stream in streams:
            stream.strike(fault)
        return len(streams)

    def heal(self) -> None:
        """Forget all rules."""
        self._rules.clear()

    def count(self, method: str, path: str) -> int:
        """How many requests matched these patterns."""
        asked = (request.split(" ", 1) for request in self.requests)
        return sum(bool(re.search(method, m) and re.search(path, p)) for m, p in asked)

    async def _session(
        self, configuration: Configuration, *, with_certificate: bool
    ) -> aiohttp.ClientSession:
        context = ssl.create_default_context(cafile=configuration.ssl_ca_cert)
        if with_certificate and configuration.cert_file:
            context.load_cert_chain(configuration.cert_file, configuration.key_file)
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            skip_auto_headers=("Accept-Encoding", "User-Agent"),
        )
        return await self._open.enter_async_context(session)

    async def _listen(self) -> None:
        application = web.Application(client_max_size=_LARGEST_BODY)
        application.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(
            application, handler_cancellation=True, shutdown_timeout=0.1, access_log=None
        )
        await runner.setup()
        self._open.push_async_callback(runner.cleanup)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._certificate)
        await web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=context).start()
        self.port = runner.addresses[0][1]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.raw_path}")
        fault = self._fault_for(request)
        try:
            match fault:
                case Answer(code, body, headers):
                    return web.json_response(body, status=code, headers=headers)
                case Drop():
                    raise ConnectionAbortedError
                case Delay(seconds):
                    await asyncio.sleep(seconds)
                case _:
                    pass
            return await self._forward(request, fault)
        except (ConnectionAbortedError, aiohttp.ClientError):
            if request.transport is not None:
                request.transport.abort()
            return web.Response()

    def _fault_for(self, request: web.Request) -> Fault | None:
        met = (rule for rule in self._rules if rule.matches(request.method, request.raw_path))
        rule = next(met, None)
        if rule is None:
            return None
        rule.meet()
        return rule.fault

    async def _forward(self, request: web.Request, fault: Fault | None) -> web.StreamResponse:
        session = self._as_bearer if "Authorization" in request.headers else self._as_owner
        async with session.request(
            request.method,
            URL(self._server + request.raw_path, encoded=True),
            headers=_end_to_end(request.headers.items()),
            data=await request.read(),
            allow_redirects=False,
        ) as upstream:
            if isinstance(fault, LoseAnswer):
                await upstream.read()
                raise ConnectionAbortedError
            answer = web.StreamResponse(
                status=upstream.status, headers=_end_to_end(upstream.headers.items())
            )
            await answer.prepare(request)
            planned = fault if isinstance(fault, StreamFault) else None
            stream = Stream(request.raw_path, planned)
            await self._pass_on(stream, upstream.content, answer, is_watch="watch" in request.query)
            return answer

    async def _pass_on(
        self,
        stream: Stream,
        source: aiohttp.StreamReader,
        answer: web.StreamResponse,
        *,
        is_watch: bool,
    ) -> None:
        if is_watch:
            self._streams.add(stream)
        try:
            await stream.pass_on(source, answer)
        finally:
            self._streams.discard(stream)


def _end_to_end(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP]
