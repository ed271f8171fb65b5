"""A command in a pod over a websocket, which begins as a GET: `get` was enough for it.

python -m tests.access.websocket KUBECONFIG PATH prints what the command prints.
"""

import asyncio
import ssl
import sys
import tempfile
from base64 import b64decode
from pathlib import Path
from typing import Any

import aiohttp
import yaml

_PROTOCOL = "v4.channel.k8s.io"
_OUTPUT = 1


async def printed(kubeconfig: str, path: str) -> str:
    """What a command prints; aiohttp.WSServerHandshakeError if a server does not let it run."""
    config: dict[str, Any] = yaml.safe_load(kubeconfig)
    cluster = config["clusters"][0]["cluster"]
    url = f"{cluster['server']}{path}"
    said = b""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(
            url,
            protocols=(_PROTOCOL,),
            ssl=_context(config),
            server_hostname=cluster.get("tls-server-name"),
        ) as channel,
    ):
        async for message in channel:
            if message.type is aiohttp.WSMsgType.BINARY and message.data[:1] == bytes([_OUTPUT]):
                said += message.data[1:]
    return said.decode()


def _context(config: dict[str, Any]) -> ssl.SSLContext:
    authority = b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"])
    context = ssl.create_default_context(cadata=authority.decode())
    user = config["users"][0]["user"]
    with tempfile.TemporaryDirectory() as place:
        pair = Path(place, "pair")
        keys = ("client-certificate-data", "client-key-data")
        pair.write_bytes(b"".join(b64decode(user[key]) for key in keys))
        context.load_cert_chain(pair)
    return context


if __name__ == "__main__":
    sys.stdout.write(asyncio.run(printed(Path(sys.argv[1]).read_text(), sys.argv[2])))
