"""Whatever is sent to the gateway: it goes on answering, lets nobody in, and stays small."""

import asyncio
import os
import secrets
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipkeeper.sandbox.ports import free_ports
from tests.login.slapd import Slapd, foundation, person
from tests.login.world import document

REVIEW = "/tokenreview"
IS_EXHAUSTIVE = os.environ.get("SHIPKEEPER_EXHAUSTIVE") == "1"
# MiB that a gateway may hold; one that read what it was sent would need gigabytes.
MOST_MEMORY = 200
CROWD = 600

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_PARTS = st.lists(st.text(alphabet="ABCabc019-_=é\0", max_size=40), max_size=4)
_TOKENS = st.tuples(st.sampled_from(["shipkeeper1", "shipkeeper", ""]), _PARTS).map(
    lambda both: ".".join((both[0], *both[1]))
)
_VERSIONS = st.sampled_from(["authentication.k8s.io/v1", "authentication.k8s.io/v1beta1", "v1", ""])
_SPECS = st.fixed_dictionaries(
    {}, optional={"token": _TOKENS | _JSON, "audiences": st.lists(st.text()) | _JSON}
)
_REVIEWS = st.fixed_dictionaries(
    {},
    optional={
        "apiVersion": _VERSIONS | _JSON,
        "kind": st.just("TokenReview") | _JSON,
        "spec": _SPECS | _JSON,
        "status": st.just({"authenticated": True, "user": {"username": "admin"}}) | _JSON,
    },
)
_LOGINS = st.fixed_dictionaries(
    {}, optional={"login": st.text() | _JSON, "password": st.text() | _JSON}
)
_BODIES = st.one_of(_REVIEWS, _LOGINS, _JSON).map(msgspec.json.encode) | st.binary(max_size=200)
_HEADS = st.one_of(
    st.just(""),
    st.sampled_from(
        [
            "Content-Length: -1\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Content-Length : 3\r\n",
            "Authorization: Bearer x\r\n",
            "no colon\r\n",
            "Expect: 100-continue\r\n",
        ]
    ),
)
_METHODS = st.sampled_from(["POST", "GET", "PUT", "", "POST POST"])
_PATHS = st.sampled_from([REVIEW, "/login", "/renew", "/healthz", "/", "/login?x=1", "//", "é"])


class Running:
    """A gateway as a process of its own, so that its memory is its own."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, ca: Path, audit: Path) -> None:
        self.process, self.port, self.audit = process, port, audit
        self._tls = ssl.create_default_context(cafile=ca)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self._tls)

    async def send(self, data: bytes, *, wait: float = 20) -> bytes:
        """What comes back for these bytes, until the connection ends or an answer is whole."""
        reader, writer = await self.connect()
        try:
            writer.write(data)
            async with asyncio.timeout(wait):
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                return head + await reader.readexactly(length)
        except (asyncio.IncompleteReadError, OSError, TimeoutError):
            return b""
        finally:
            writer.transport.abort()

    async def is_well(self) -> bool:
        answer = await self.send(request("GET", "/healthz", b""))
        return self.process.poll() is None and answer.startswith(b"HTTP/1.1 200")

    @property
    def mebibytes(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def request(method: str, path: str, body: bytes, head: str = "") -> bytes:
    length = "" if "content-length" in head.lower() else f"Content-Length: {len(body)}\r\n"
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{length}{head}\r\n".encode() + body


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("hostile")
    slapd = Slapd(folder / "slapd")
    slapd.fill([*foundation(), person("ann")])
    slapd.start()
    (port,) = free_ports(1)
    settings = document(folder, [slapd.ldaps], slapd.home / "ca.crt", address=f"127.0.0.1:{port}")
    path = folder / "login.yaml"
    path.write_bytes(msgspec.yaml.encode(settings))
    process = subprocess.Popen(
        [Path(sys.executable).parent / "shipkeeper", "login-gateway", path],
        stderr=subprocess.PIPE,
        text=False,
    )
    assert process.stderr
    try:
        assert b"answered at" in process.stderr.readline()
        yield Running(process, port, folder / "gateway-ca.crt", folder / "audit.log")
    finally:
        process.kill()
        said = process.stderr.read()
        process.wait()
        process.stderr.close()
        slapd.kill()
    assert b"Traceback" not in said, said.decode()[-3000:]


def _nobody_got_in(running: Running, answer: bytes) -> bool:
    is_in = b'"authenticated":true' in answer or b'"token"' in answer
    return not is_in and b'"allowed":true' not in running.audit.read_bytes()


def test_anything_in_a_request(running: Running) -> None:
    loop = asyncio.new_event_loop()

    @settings(max_examples=3000 if IS_EXHAUSTIVE else 300, deadline=None)
    @given(_METHODS, _PATHS, _HEADS, _BODIES)
    def attack(method: str, path: str, head: str, body: bytes) -> None:
        wait = 0.2 if head.startswith("Content-Length: 9") else 15
        answer = loop.run_until_complete(running.send(request(method, path, body, head), wait=wait))
        assert _nobody_got_in(running, answer)
        assert b" 500 " not in answer

    try:
        attack()
        assert loop.run_until_complete(running.is_well())
    finally:
        loop.close()
    assert running.mebibytes < MOST_MEMORY


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"spec":' * 8_000,
        b'{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"%s"}}'
        % (b"x" * 60_000),
    ],
)
async def test_bodies_that_are_deep_or_long(running: Running, body: bytes) -> None:
    for path in (REVIEW, "/login", "/renew"):
        assert _nobody_got_in(running, await running.send(request("POST", path, body)))
    assert await running.is_well()


async def test_huge_bodies_are_not_read(running: Running) -> None:
    async def send() -> bytes:
        head = f"POST {REVIEW} HTTP/1.1\r\nContent-Length: {1 << 30}\r\n\r\n".encode()
        return await running.send(head + bytes(1 << 20))

    answers = await asyncio.gather(*(send() for _ in range(64)))
    assert all(not answer or b" 413 " in answer for answer in answers)
    # A head without an end is not waited for either.
    assert b"200" not in await running.send(b"GET /" + b"a" * (1 << 20))
    assert await running.is_well()
    assert running.mebibytes < MOST_MEMORY


async def test_what_is_no_tls(running: Running) -> None:
    hello = b"\x16\x03\x01"
    for data in (
        b"",
        b"GET / HTTP/1.1\r\n\r\n",
        hello,
        hello + b"\xff\xff" + secrets.token_bytes(500),
        b"\x80\x2e\x01\x00\x02",
        secrets.token_bytes(2000),
        b"\x15\x03\x03\x00\x02\x02\x28" * 100,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        writer.write(data)
        writer.write_eof()
        async with asyncio.timeout(30):
            # Whatever comes, an alert or a reset, the connection ends.
            with suppress(ConnectionError):
                while await reader.read(4096):
                    pass
        writer.close()
    assert await running.is_well()


async def test_a_crowd_of_slow_clients(running: Running) -> None:
    """More of them than are let in, each with a request that does not end."""
    opened: list[asyncio.StreamWriter] = []

    async def hang(number: int) -> None:
        try:
            _, writer = await running.connect()
        except OSError:
            return
        opened.append(writer)
        writer.write(request("POST", REVIEW, b"")[:-4] if number % 2 else b"P")

    try:
        for start in range(0, CROWD, 50):
            await asyncio.gather(*(hang(start + number) for number in range(50)))
        # Those who ask properly are answered again once the time of the others is over.
        async with asyncio.timeout(60):
            while not await running.is_well():
                await asyncio.sleep(0.2)
        assert running.mebibytes < MOST_MEMORY
    finally:
        for writer in opened:
            writer.transport.abort()
