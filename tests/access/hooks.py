"""Webhooks of a thief, and of a cloud: what a server asks, and what it is told."""

import ssl
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import yaml
from aiohttp import web

from shipkeeper.kube.connection import Connection
from shipkeeper.sandbox.certificates import create_authority, issue_server

Asked = dict[str, Any]
Answer = Callable[[Asked], Awaitable[Asked]]
_AWS_AUTH = "/api/v1/namespaces/kube-system/configmaps/aws-auth"
CLOUD_TOKEN = "k8s-aws-v1."


@asynccontextmanager
async def admission(answer: Callable[[Asked], Asked]) -> AsyncGenerator[tuple[str, bytes]]:
    """An admission webhook that lets everything pass, with what a function adds; URL and CA."""

    async def reviewed(review: Asked) -> Asked:
        asked = review["request"]
        response = {"uid": asked["uid"], "allowed": True, **answer(asked)}
        return {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}

    async with _serving(reviewed) as found:
        yield found


@asynccontextmanager
async def cloud(admin: Connection) -> AsyncGenerator[tuple[str, bytes]]:
    """Logs identities of a cloud in as ConfigMap aws-auth maps them; a token is its ARN."""

    async def reviewed(review: Asked) -> Asked:
        token = str(review["spec"]["token"])
        found = msgspec.json.decode(await admin.send("GET", _AWS_AUTH))
        mapped: list[Asked] = yaml.safe_load(found["data"]["mapRoles"])
        status: Asked = {"authenticated": False}
        for each in mapped:
            if token == f"{CLOUD_TOKEN}{each['rolearn']}":
                user = {"username": each["username"], "groups": each["groups"]}
                status = {"authenticated": True, "user": user}
        return {"apiVersion": review["apiVersion"], "kind": review["kind"], "status": status}

    async with _serving(reviewed) as found:
        yield found


@asynccontextmanager
async def _serving(answer: Answer) -> AsyncGenerator[tuple[str, bytes]]:
    async def handle(request: web.Request) -> web.Response:
        return web.json_response(await answer(msgspec.json.decode(await request.read())))

    authority = create_authority("hooks-ca")
    application = web.Application(client_max_size=2**24)
    application.router.add_post("/", handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=_tls(authority))
        await site.start()
        yield f"https://127.0.0.1:{runner.addresses[0][1]}/", authority.certificate
    finally:
        await runner.cleanup()


def _tls(authority: Any) -> ssl.SSLContext:
    pair = issue_server(authority, "hooks", ("127.0.0.1",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as place:
        certificate, key = Path(place, "tls.crt"), Path(place, "tls.key")
        certificate.write_bytes(pair.certificate)
        key.write_bytes(pair.key)
        context.load_cert_chain(certificate, key)
    return context
