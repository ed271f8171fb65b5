"""The exec side of a kubelet for hollow nodes: what runs "in a pod" runs on a host of the tests.

It speaks the WebSocket protocol that API servers pass on (v4.channel.k8s.io).
"""

import asyncio
import json
import ssl
import tempfile
from contextlib import suppress
from pathlib import Path

import aiohttp
from aiohttp import web

from shipkeeper.kube.resources import NODES
from shipkeeper.kube.writer import STRATEGIC_PATCH, Writer
from tests.faults.certificate import write_server_certificate
from tests.hosts.sshd import SshServer

_INPUT, _OUTPUT, _ERRORS, _END = range(4)


class Kubelet:
    """Answers execs for the nodes that it is `given`; their pods' host is `host`."""

    def __init__(self, host: SshServer) -> None:
        self.host = host
        self.refuses_with = ""
        """What it answers instead of running anything."""
        self.executions = 0
        self._port = 0
        self._open: set[web.WebSocketResponse] = set()
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "Kubelet":
        app = web.Application()
        app.router.add_get("/exec/{namespace}/{pod}/{container}", self._exec)
        self._runner = web.AppRunner(app, shutdown_timeout=1.0)
        await self._runner.setup()
        with tempfile.TemporaryDirectory() as directory:
            certificate = Path(directory) / "kubelet.pem"
            write_server_certificate(certificate)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner
        await self._runner.cleanup()

    async def given(self, writer: Writer, *nodes: str) -> None:
        """Let the API server find it behind these nodes."""
        for name in nodes:
            status = {
                "addresses": [{"type": "Hostname", "address": "127.0.0.1"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": self._port}},
            }
            await writer.patch(
                NODES,
                name,
                {"status": status},
                subresource="status",
                content_type=STRATEGIC_PATCH,
            )

    def drop(self) -> int:
        """Cut every connection without a word; how many there were."""
        cut = [each for each in self._open if _cut(each)]
        return len(cut)

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        self.executions += 1
        if self.refuses_with:
            return web.Response(status=500, text=self.refuses_with)
        socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io",), autoclose=False)
        await socket.prepare(request)
        self._open.add(socket)
        try:
            # A client that is gone has no use for the answer.
            with suppress(ConnectionError):
                await self._run(socket, request.query.getall("command"))
        finally:
            self._open.discard(socket)
        return socket

    async def _run(self, socket: web.WebSocketResponse, command: list[str]) -> None:
        process = await asyncio.create_subprocess_exec(
            *("nsenter", "--mount", "--pid", "--target", str(self.host.inside), *command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdin
        assert process.stdout
        assert process.stderr
        feeding = asyncio.create_task(_feed(socket, process.stdin))
        try:
            await asyncio.gather(
                _pass_on(socket, _OUTPUT, process.stdout), _pass_on(socket, _ERRORS, process.stderr)
            )
            await socket.send_bytes(bytes([_END]) + _status(await process.wait()))
            await socket.close()
        finally:
            feeding.cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _feed(socket: web.WebSocketResponse, stdin: asyncio.StreamWriter) -> None:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.BINARY and message.data[:1] == bytes([_INPUT]):
            stdin.write(message.data[1:])
    # As runtimes do once the connection is gone.
    stdin.close()


async def _pass_on(
    socket: web.WebSocketResponse, channel: int, stream: asyncio.StreamReader
) -> None:
    while chunk := await stream.read(4096):
        await socket.send_bytes(bytes([channel]) + chunk)


def _status(code: int) -> bytes:
    if code == 0:
        return json.dumps({"status": "Success"}).encode()
    causes = [{"reason": "ExitCode", "message": str(code)}]
    status = {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}}
    return json.dumps(status).encode()


def _cut(socket: web.WebSocketResponse) -> bool:
    transport = socket._req.transport if socket._req else None  # pyright: ignore[reportPrivateUsage]
    if transport is None:
        return False
    transport.abort()
    return True
