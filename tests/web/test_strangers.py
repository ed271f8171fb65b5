"""Every route of the console, asked by strangers and with nonsense: no write, no secret, no crash.

The routes are the application's own: one that has no entry here fails the test.
"""

import base64
import json
from collections.abc import AsyncIterator, Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
from starlette.routing import Route

from shipkeeper.backup.manifest import is_map
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.web import opening
from shipkeeper.web.app import Application
from tests.nodes.world import World
from tests.web.served import Served, Tab, served, tab_of
from tests.web.test_backups import Kept, kept
from tests.web.visitors import rule, served_to_all, token_of, visitor

__all__ = ["kept"]

Json = dict[str, Any]
SECRET = "never-to-be-seen"
HOSTILE: tuple[object, ...] = (
    "",
    "<script>alert(1)</script>",
    "../../../etc/passwd",
    "--kubeconfig=/etc/shadow",
    "a\x00b\r\nX-Evil: 1",
    "é" * 5_000,
    "-1",
    10**30,
    None,
    [["x"]],
)
FORM: Json = {"nodes": ["a"], "wait": "1s", "canary": ["1"], "window": [], "soak": "0s"}
RESTORE: Json = {"backup": "latest", "kinds": ["configmaps"], "existing": "skip"}
UPGRADE: Json = {"to": "v1.37.2", "wait": True, "backup": False, "via": [], "soak": "0s"}
RUN: Json = {"run": "maintain-1"}
OBJECTS: Json = {"backup": "latest", "kind": "secrets", "namespace": "", "find": "", "first": "0"}
# What each route is asked with: a query, or for POST a body.
ASKED: dict[str, Json] = {
    "/api/door": {},
    "/api/session": {},
    "/api/login": {"token": "x"},
    "/api/login/certificate": {},
    "/api/login/elsewhere": {},
    "/api/logout": {"more": 1},
    "/api/stream/{page}": {"q": "", "sort": "name", "from": "0", "to": "9", "node": "a", "run": ""},
    "/api/look": {"stream": "x", "query": {"q": "x"}},
    "/api/fleet/plan": FORM,
    "/api/fleet/rehearse": {"form": FORM, "digest": "x"},
    "/api/fleet/start": {"form": FORM, "digest": "x"},
    "/api/run/pause": RUN,
    "/api/run/resume": RUN,
    "/api/run/abort": RUN,
    "/api/run/{run}/plan": {},
    "/api/run/{run}/export.html": {},
    "/api/upgrade/versions": {},
    "/api/upgrade/check": {"minor": "37"},
    "/api/upgrade/plan": UPGRADE,
    "/api/upgrade/start": {"form": UPGRADE, "digest": "x"},
    "/api/backups/list": {},
    "/api/backups/verify": {"more": 1},
    "/api/backups/objects": OBJECTS,
    "/api/backups/object": {"backup": "latest", "kind": "secrets", "namespace": "", "name": "db"},
    "/api/backups/diff": {"old": "latest", "new": "", "kind": "secrets", "namespace": ""},
    "/api/backups/plan": {"form": RESTORE, "asks_server": True},
    "/api/backups/restore": {"form": RESTORE, "digest": "x"},
    "/api/access/policy": {},
    "/api/access/who-can": {"q": "get secrets", "find": ""},
    "/api/access/explain": {"q": "get secrets", "who": "a", "groups": ""},
    "/api/access/escalation": {"system": "true", "find": ""},
    "/api/access/place": {"kind": "User", "name": "a"},
    "/api/access/matrix": {"namespace": "", "resources": "secrets", "q": ""},
    "/api/access/certificates": {"find": ""},
}
OPEN = {"/api/door", "/api/login", "/api/login/certificate", "/api/login/elsewhere"}
# What is asked of the API server in a request that writes nothing.
QUESTIONS = ("selfsubject", "tokenreviews")
Opened = Callable[..., Any]


class Operation(NamedTuple):
    """A route and a method of it."""

    method: str
    path: str


@pytest.fixture
def routes(monkeypatch: pytest.MonkeyPatch) -> list[Route]:
    """The routes of the console that is served next."""
    found: list[Route] = []

    class Known(Application):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            found.extend(self.routes)

    monkeypatch.setattr(opening, "Application", Known)
    return found


@pytest.fixture
async def local(newest: Sandbox, kept: Kept, routes: list[Route]) -> AsyncIterator[Served]:
    """A console of its administrator, with a backup that holds the Secret."""
    async with served(newest.kubeconfig, place=kept.place) as found:
        yield found


@pytest.fixture
async def public(
    newest: Sandbox, kept: Kept, routes: list[Route], tmp_path: Path
) -> AsyncIterator[Served]:
    """A console that others reach, with the same backup."""
    async with served_to_all(newest, tmp_path, place=kept.place, client_ca=newest.ca) as found:
        yield found


def operations(routes: list[Route]) -> list[Operation]:
    """Every route with its method; the page itself is no question."""
    found = [
        Operation("POST" if "POST" in (each.methods or ()) else "GET", each.path)
        for each in routes
        if each.path != "/{path:path}"
    ]
    assert {each.path for each in found} == ASKED.keys()
    return found


async def send(tab: Tab, operation: Operation, asked: object, **headers: str) -> tuple[int, bytes]:
    """Status and the beginning of the answer."""
    path = operation.path.replace("{page}", "fleet").replace("{run}", "maintain-1")
    sent = {"Origin": tab.url, "X-Shipkeeper-CSRF": tab.csrf, **headers}
    if operation.method == "GET":
        query = asked if is_map(asked) else {"x": asked}
        path = f"{path}?{urlencode({name: str(value) for name, value in query.items()})}"
        body = None
    else:
        body = json.dumps(asked).encode()
    url = tab.url + tab.base + path
    async with tab.http.request(operation.method, url, data=body, headers=sent) as answer:
        is_stream = answer.content_type == "text/event-stream"
        content = await (answer.content.readany() if is_stream else answer.read())
        return answer.status, content


def variants(asked: Json) -> Iterator[object]:
    """A request as it should be, and with nonsense in each of its places."""
    yield asked
    yield from ([], "x", 1, None, {"unknown": 1})
    for path in _places(asked):
        for value in HOSTILE:
            other = deepcopy(asked)
            inner = other
            for step in path[:-1]:
                inner = inner[step]
            inner[path[-1]] = value
            yield other


def _places(asked: Json) -> Iterator[tuple[str, ...]]:
    for name, value in asked.items():
        yield (name,)
        if is_map(value):
            yield from ((name, *rest) for rest in _places(value))


def in_world(asked: Json, kept: Kept) -> Json:
    """The same about the namespace that has the Secret."""
    return {**asked, "namespace": kept.world.name} if "namespace" in asked else asked


def require_harmless(status: int, content: bytes, about: object) -> None:
    """No crash, and not a byte of the Secret, in clear or encoded."""
    assert status < 500, (about, status, content[:500])
    for value in (SECRET.encode(), base64.b64encode(SECRET.encode())):
        assert value not in content, about


def writes(world: World, user: str) -> list[str]:
    """What a user had changed in the cluster."""
    return [
        f"{each.verb} {each.request_uri}"
        for each in world.requests()
        if user in (each.user.username, each.impersonated_user.username)
        and each.verb not in ("get", "list", "watch")
        and not any(word in each.request_uri for word in QUESTIONS)
        and "dryRun=All" not in each.request_uri
    ]


async def test_a_stranger_gets_nothing_anywhere(public: Served, routes: list[Route]) -> None:
    async with tab_of(public, logs_in=False) as tab:
        for operation in operations(routes):
            status, content = await send(tab, operation, ASKED[operation.path])
            require_harmless(status, content, operation)
            if operation.path not in OPEN:
                assert status == 401, operation
        for name in ("", "x" * 43, "a; b", "é"):
            tab.http.cookie_jar.update_cookies({"__Host-shipkeeper": name})
            status, content = await send(tab, Operation("GET", "/api/session"), {})
            assert status == 401


async def test_nothing_is_done_for_other_pages_or_with_the_token_of_another_session(
    local: Served, routes: list[Route]
) -> None:
    async with tab_of(local) as tab, tab_of(local) as other:
        for operation in operations(routes):
            asked = ASKED[operation.path]
            for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
                status, content = await send(tab, operation, asked, **headers)
                require_harmless(status, content, operation)
                assert status == 403, operation
            if operation.method == "POST" and operation.path not in OPEN:
                csrf = {"X-Shipkeeper-CSRF": other.csrf}
                status, _ = await send(tab, operation, asked, **csrf)
                assert status == 403, operation
        assert (await tab.get("/api/session"))[0] == 200


async def test_who_may_only_read_writes_nothing_and_nonsense_is_refused(
    public: Served, kept: Kept, routes: list[Route]
) -> None:
    token = await token_of(kept.world, "reader", rule("get,list,watch", "*", "*"))
    user = f"system:serviceaccount:{kept.world.name}:reader"
    # Who guesses is kept out, and who logs out is out: neither is to be tried here.
    left = [each for each in operations(routes) if each.path not in (*OPEN, "/api/logout")]
    async with visitor(public, token) as tab:
        for operation in left:
            for asked in variants(in_world(ASKED[operation.path], kept)):
                status, content = await send(tab, operation, asked)
                require_harmless(status, content, (operation, asked))
    assert writes(kept.world, user) == []
    assert public.journal.heads() == []
