"""Who gets in, who does not, and what a stranger sees."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from starlette.requests import Request

from shipkeeper.errors import UsageError
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.identity import Identity
from shipkeeper.web.person import Person
from shipkeeper.web.server import ServeOptions, require_safe
from shipkeeper.web.sessions import Sessions
from tests.web.served import WITHIN, Served, tab_of

EVERYTHING = (
    ("GET", "/api/session"),
    ("GET", "/api/stream/fleet"),
    ("POST", "/api/look"),
    ("POST", "/api/logout"),
)


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
async def test_a_stranger_gets_nothing(console: Served, method: str, path: str) -> None:
    async with tab_of(console, logs_in=False) as tab:
        ask = tab.get(path) if method == "GET" else tab.post(path, {})
        status, body = await ask
    assert (status, body["reason"]) == (401, "NoSession")


async def test_a_link_works_once_and_then_the_next_is_said(console: Served) -> None:
    first = console.link
    async with tab_of(console) as tab:
        assert (await tab.get("/api/session"))[0] == 200
    assert console.link != first
    async with tab_of(console, logs_in=False) as late:
        async with late.http.get(first):
            pass
        assert (await late.get("/api/session"))[0] == 401


async def test_the_cookie_is_kept_from_scripts_and_other_sites(console: Served) -> None:
    async with (
        tab_of(console, logs_in=False) as tab,
        tab.http.get(console.link, allow_redirects=False) as response,
    ):
        cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


async def test_logging_out_ends_the_session_and_its_streams(console: Served) -> None:
    async with tab_of(console) as tab:
        async with tab.http.get(f"{tab.url}/api/stream/fleet") as stream:
            await stream.content.readline()
            assert (await tab.post("/api/logout", {}))[0] == 200
            async with asyncio.timeout(WITHIN):
                assert b"event: over" in await stream.read()
        assert (await tab.get("/api/session"))[0] == 401


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"Origin": "http://evil.example"}, "WrongOrigin"),
        ({"Origin": "null"}, "WrongOrigin"),
        ({"Sec_Fetch_Site": "cross-site"}, "WrongOrigin"),
        ({"Sec_Fetch_Site": "same-site"}, "WrongOrigin"),
        ({"Host": "evil.example"}, "WrongHost"),
        ({"X_Shipkeeper_CSRF": "guessed"}, "NoCsrfToken"),
        ({"X_Shipkeeper_CSRF": ""}, "NoCsrfToken"),
    ],
)
async def test_pages_of_others_get_nothing_done(
    console: Served, headers: dict[str, str], reason: str
) -> None:
    async with tab_of(console) as tab:
        status, body = await tab.post("/api/logout", {}, **headers)
        assert status in (403, 421)
        assert body["reason"] == reason
        assert (await tab.get("/api/session"))[0] == 200


async def test_a_change_without_an_origin_is_refused(console: Served) -> None:
    async with tab_of(console) as tab:
        headers = {"X-Shipkeeper-CSRF": tab.csrf}
        async with tab.http.post(f"{tab.url}/api/logout", headers=headers) as response:
            assert response.status == 403


async def test_a_rebound_name_reads_nothing(console: Served) -> None:
    async with tab_of(console) as tab:
        status, body = await tab.get("/api/session", Host="evil.example")
    assert (status, body["reason"]) == (421, "WrongHost")


async def test_every_answer_forbids_scripts_of_others(console: Served) -> None:
    async with tab_of(console, logs_in=False) as tab:
        for path in ("/", "/api/session", "/api/nothing", "/fleet"):
            async with tab.http.get(tab.url + path) as response:
                policy = response.headers["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "unsafe" not in policy
                assert "frame-ancestors 'none'" in policy
                assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_guessing_links_ends(console: Served) -> None:
    async with tab_of(console, logs_in=False) as tab:
        codes: list[int] = []
        for _ in range(12):
            async with tab.http.get(
                f"{tab.url}/", params={"link": "guess"}, allow_redirects=False
            ) as response:
                codes.append(response.status)
    assert codes[:10] == [303] * 10
    assert codes[10:] == [429] * 2


async def test_a_stream_of_another_session_cannot_be_turned(console: Served) -> None:
    async with tab_of(console) as mine, tab_of(console) as other, mine.watching("fleet"):
        await mine.until(lambda tab: "head" in tab.items)
        key = mine.last.partition(".")[0]
        wish = {"stream": key, "query": {"q": "x"}}
        assert (await other.post("/api/look", wish))[0] == 404
        assert (await mine.post("/api/look", wish))[0] == 200


@pytest.mark.parametrize(
    "body", [b"", b"[", b"[" * 100_000, b'{"token": 1}', b'{"token": "a", "more": 1}', b"\xff"]
)
async def test_what_makes_no_sense_is_refused(console: Served, body: bytes) -> None:
    async with tab_of(console) as tab:
        headers = {"X-Shipkeeper-CSRF": tab.csrf, "Origin": tab.url}
        async with tab.http.post(f"{tab.url}/api/look", data=body, headers=headers) as response:
            assert response.status == 400
            assert (await response.json())["reason"] == "BadRequest"


async def test_what_is_too_large_is_refused(console: Served) -> None:
    async with tab_of(console) as tab:
        headers = {"X-Shipkeeper-CSRF": tab.csrf, "Origin": tab.url}
        body = b" " * (300 * 1024)
        async with tab.http.post(f"{tab.url}/api/look", data=body, headers=headers) as response:
            assert response.status == 413


def options(
    *, host: str = "127.0.0.1", certificate: Path | None = None, key: Path | None = None
) -> ServeOptions:
    return ServeOptions(
        host=host,
        port=0,
        certificate=certificate,
        key=key,
        connection=ConnectionOptions(),
        flags=(),
        directory=Path(),
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_needs_no_tls(host: str) -> None:
    assert require_safe(options(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "console.example"])
def test_any_other_address_does(host: str) -> None:
    with pytest.raises(UsageError, match="TLS"):
        require_safe(options(host=host))
    assert not require_safe(options(host=host, certificate=Path("a"), key=Path("b")))


def test_half_a_certificate_is_none() -> None:
    with pytest.raises(UsageError, match="go together"):
        require_safe(options(certificate=Path("a")))


# A person of this machine uses the console's own connection, which a session does not touch.
NOBODY: Any = None


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_sessions_end_when_idle_and_after_their_longest_time() -> None:
    clock = Clock()
    sessions = Sessions(
        clock, cookie="c", is_tls=False, idle=timedelta(minutes=10), longest=timedelta(hours=1)
    )
    person = Person(Identity(username="ann"), NOBODY)
    idle, used = sessions.open(person), sessions.open(person)
    for _ in range(6):
        clock.now += 540
        assert sessions.touch(used)
    assert not sessions.touch(idle)
    clock.now += 540
    assert not sessions.touch(used)
    assert used.is_over


def test_to_look_who_is_logged_in_keeps_nobody_logged_in() -> None:
    clock = Clock()
    sessions = Sessions(clock, cookie="c", is_tls=False, idle=timedelta(minutes=10))
    session = sessions.open(Person(Identity(username="ann"), NOBODY))
    cookie = (b"cookie", f"c={session.id}".encode())
    request = Request({"type": "http", "headers": [cookie]})
    clock.now += 540
    assert sessions.peek(request) is session
    clock.now += 540
    assert sessions.peek(request) is None
    assert session.is_over


def test_a_thousand_logins_do_not_fill_the_memory() -> None:
    sessions = Sessions(Clock(), cookie="c", is_tls=False)
    person = Person(Identity(username="ann"), NOBODY)
    for _ in range(1000):
        sessions.open(person)
    assert len(list(sessions)) <= 200


async def test_who_started_the_console_logs_out_in_every_browser(console: Served) -> None:
    async with tab_of(console) as tab, tab_of(console) as other:
        assert (await tab.post("/api/logout", {}))[0] == 200
        assert (await other.get("/api/session"))[0] == 401


async def test_an_address_of_several_clusters_is_no_address_of_one(console: Served) -> None:
    async with tab_of(console) as tab:
        tab.base = "/clusters/x"
        status, body = await tab.get("/api/session")
        assert (status, body["reason"]) == (404, "OneCluster")


async def test_the_connection_of_a_stranger_is_no_session(console: Served) -> None:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as http:
        name = f"shipkeeper-{console.url.rpartition(':')[2]}"
        async with http.get(f"{console.url}/api/session", cookies={name: "a" * 43}) as response:
            assert response.status == 401
