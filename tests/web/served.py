"""A console that serves in this process, and who talks to it."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from shipkeeper.backup.opening import Place
from shipkeeper.engine.journal import Journal
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.paths import state_dir
from shipkeeper.web.server import ServeOptions, serving

WITHIN = 400.0  # seconds that anything may take before a test fails


class Served:
    """A console: its URL, what it said, the bugs that it met, and the journal that it shows."""

    def __init__(self, url: str, journal: Journal, said: list[str], bugs: list[Exception]) -> None:
        self.url = url
        self.journal = journal
        self.said = said
        self.bugs = bugs

    @property
    def link(self) -> str:
        """The newest link that was said."""
        return next(line.split()[-1] for line in reversed(self.said) if "?link=" in line)


@asynccontextmanager
async def served(
    kubeconfig: Path,
    *,
    port: int = 0,
    certificate: Path | None = None,
    host: str = "127.0.0.1",
    place: Place | None = None,
    client_ca: Path | None = None,
    contexts: tuple[str, ...] = (),
) -> AsyncGenerator[Served]:
    """Serve a console for the length of the context; no request of it may meet a bug.

    Its journal is that of `XDG_STATE_HOME`, as it is for the commands that it starts.
    """
    said: list[str] = []
    bugs: list[Exception] = []
    journal = Journal(state_dir() / "journal.db")
    options = ServeOptions(
        host=host,
        port=port,
        certificate=certificate,
        key=certificate,
        connection=ConnectionOptions(kubeconfig=str(kubeconfig)),
        flags=(f"--kubeconfig={kubeconfig}",),
        directory=state_dir() / "console",
        place=place,
        client_ca=client_ca,
        contexts=contexts,
    )
    with contextlib.closing(journal):
        async with serving(options, journal, said.append, bugs.append) as url:
            yield Served(url, journal, said, bugs)
    assert not bugs, bugs


class Tab:
    """A browser's tab: a session, and one stream whose values are kept as a page keeps them.

    `base` is where the cluster is that it looks at, of several.
    """

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.base = ""
        self.http = http
        self.csrf = ""
        self.items: dict[str, Any] = {}
        self.order: list[str] = []
        self.last = ""
        self.heard: dict[str, Any] = {}
        self.numbers: list[int] = []
        self.wholes = 0
        self._changed = asyncio.Event()

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """Status and body of a GET."""
        async with self.http.get(self.url + self.base + path, headers=headers) as response:
            return response.status, _body(await response.read())

    async def post(
        self, path: str, body: object, *, csrf: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        """Status and body of a POST by the page itself, unless the headers say otherwise."""
        sent = {
            "Origin": self.url,
            "X-Shipkeeper-CSRF": self.csrf if csrf is None else csrf,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        async with self.http.post(self.url + self.base + path, json=body, headers=sent) as response:
            return response.status, _body(await response.read())

    async def enter(self, link: str) -> None:
        """Log in by a link."""
        async with self.http.get(link) as response:
            assert response.status == 200
        await self.know_session()

    async def know_session(self) -> None:
        """Read who is logged in, as the page does."""
        status, body = await self.get("/api/session")
        assert status == 200, body
        self.csrf = body["csrf"]

    @asynccontextmanager
    async def watching(self, page: str, **query: str) -> AsyncGenerator["Tab"]:
        """Follow a page; `last` goes on where it broke off."""
        asked = {**query, **({"last": self.last} if self.last else {})}
        following = asyncio.create_task(self._follow(page, asked))
        try:
            yield self
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError, aiohttp.ClientError):
                await following

    async def until(self, holds: "Callable[[Tab], bool]") -> None:
        """Wait until something holds on what is known."""
        async with asyncio.timeout(WITHIN):
            while not holds(self):
                self._changed.clear()
                await self._changed.wait()

    async def _follow(self, page: str, query: dict[str, str]) -> None:
        async with self.http.get(
            f"{self.url}{self.base}/api/stream/{page}", params=query
        ) as response:
            assert response.status == 200, await response.read()
            lines: dict[str, str] = {}
            async for raw in response.content:
                line = raw.decode().rstrip("\n")
                if line:
                    name, _, value = line.partition(": ")
                    lines[name] = value
                    continue
                if "id" in lines:
                    self._take(lines["id"], json.loads(lines["data"]))
                lines = {}

    def _take(self, number: str, heard: dict[str, Any]) -> None:
        self.last, self.heard = number, heard
        self.numbers.append(int(number.rpartition(".")[2]))
        found = heard.get("changes", {})
        if found.get("whole"):
            self.items = {}
            self.wholes += 1
        for key in found.get("gone", []):
            del self.items[key]
        self.items |= found.get("set", {})
        self.order = found.get("order", self.order)
        self._changed.set()


def _showing(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(certificate)
    return context


def _body(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw


@asynccontextmanager
async def tab_of(
    console: Served, *, logs_in: bool = True, shows: Path | None = None
) -> AsyncGenerator[Tab]:
    """A tab of a browser of its own; logged in by the console's link unless told otherwise.

    `shows` is a client certificate with its key.
    """
    jar = aiohttp.CookieJar(unsafe=True)
    connector = aiohttp.TCPConnector(ssl=_showing(shows) if shows else False)
    limit = aiohttp.ClientTimeout(total=None, sock_connect=WITHIN)
    async with aiohttp.ClientSession(cookie_jar=jar, connector=connector, timeout=limit) as http:
        tab = Tab(console.url, http)
        if logs_in:
            await tab.enter(console.link)
        yield tab
