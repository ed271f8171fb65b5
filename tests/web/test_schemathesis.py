"""schemathesis over the console's API, as a stranger and as somebody who may only read."""

import asyncio
import base64
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from starlette.routing import Route
from yarl import URL

from shipkeeper.sandbox import names
from tests.fuzzing import Exchange, let_loose
from tests.web.described import STREAM, Json, described
from tests.web.served import Served, Tab, tab_of
from tests.web.test_backups import Kept, kept
from tests.web.test_strangers import (
    ASKED,
    OPEN,
    SECRET,
    in_world,
    public,
    require_harmless,
    routes,
    writes,
)
from tests.web.visitors import rule, token_of, visitor

__all__ = ["kept", "public", "routes"]

EXAMPLES = 4  # of each operation, beyond those at the edges of its schema
OWNER = names.IDENTITIES[names.ADMIN][0]


def document(routes: list[Route], kept: Kept) -> Json:
    """The API, with the questions of a page about the namespace that has the Secret."""
    return described(routes, lambda path: in_world(ASKED[path], kept))


def headers_of(tab: Tab) -> dict[str, str]:
    """What a page of this tab sends along."""
    cookies = tab.http.cookie_jar.filter_cookies(URL(tab.url))
    return {
        "Origin": tab.url,
        "X-Shipkeeper-CSRF": tab.csrf or "none",
        "Cookie": "; ".join(f"{name}={each.value}" for name, each in cookies.items()) or "a=b",
    }


def require_all_harmless(exchanges: tuple[Exchange, ...], paths: int) -> None:
    """Every operation was asked, no answer is a crash, and none has the Secret."""
    asked = {(each.request.method, URL(each.request.url).path) for each in exchanges}
    assert len(asked) >= paths
    for each in exchanges:
        assert 0 < each.status < 500, each
        for value in (SECRET, base64.b64encode(SECRET.encode()).decode()):
            assert value not in each.told, each.request


async def test_a_stranger_gets_nothing(
    public: Served, kept: Kept, routes: list[Route], tmp_path: Path
) -> None:
    before = writes(kept.world, OWNER)
    api = document(routes, kept)
    async with tab_of(public, logs_in=False) as tab:
        # Nothing of what a stranger asks is read, so its edges are nobody's.
        exchanges = await let_loose(
            api,
            tab.url,
            tmp_path,
            headers=headers_of(tab),
            examples=EXAMPLES,
            with_edges=False,
        )
    require_all_harmless(exchanges, len(ASKED))
    got = {URL(each.request.url).path for each in exchanges if each.status < 400}
    assert got <= {"/api/door"}
    refused = {each.status for each in exchanges if URL(each.request.url).path not in OPEN}
    assert refused <= {401, 403, 404, 405, 421}
    assert writes(kept.world, OWNER) == before


# Values are drawn in a thread, beside which the console draws the lengths of its pauses.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
async def test_who_may_only_read_changes_nothing(
    public: Served, kept: Kept, routes: list[Route], tmp_path: Path
) -> None:
    token = await token_of(kept.world, "reader", rule("get,list,watch", "*", "*"))
    user = f"system:serviceaccount:{kept.world.name}:reader"
    api = document(routes, kept)
    stream = {**api, "paths": {STREAM: api["paths"][STREAM]}}
    # Who guesses is kept out, and who logs out is out; a stream does not end by itself.
    for path in (*OPEN, "/api/logout", STREAM):
        del api["paths"][path]
    before = writes(kept.world, OWNER)
    async with visitor(public, token) as tab:
        exchanges = await let_loose(
            api, tab.url, tmp_path, headers=headers_of(tab), examples=EXAMPLES
        )
        await let_loose_on_streams(stream, tab)
        assert (await tab.get("/api/session"))[0] == 200
    require_all_harmless(exchanges, len(api["paths"]))
    # What a page asks is understood: else nothing but the refusal of nonsense would be tried.
    understood = {URL(each.request.url).path for each in exchanges if each.status == 200}
    assert len(understood) > len(api["paths"]) / 3, understood
    assert writes(kept.world, user) == []
    assert writes(kept.world, OWNER) == before
    assert public.journal.heads() == []


async def let_loose_on_streams(api: Json, tab: Tab) -> None:
    """The same for what goes on for good: the beginning of each answer is read."""
    # Its values are generic in what this document alone knows.
    operation = cast("Any", schemathesis.openapi.from_dict(api))[STREAM]["GET"]
    loop = asyncio.get_running_loop()

    async def look(path: str) -> None:
        async with tab.http.get(URL(f"{tab.url}{path}", encoded=True)) as answer:
            content = await answer.content.readany()
            require_harmless(answer.status, content, path)

    def attack(mode: GenerationMode) -> None:
        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        )
        @given(operation.as_strategy(generation_mode=mode))
        def one(case: Any) -> None:
            path = f"{case.formatted_path}?{urlencode(case.query, doseq=True)}"
            asyncio.run_coroutine_threadsafe(look(path), loop).result()

        one()

    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        await asyncio.to_thread(attack, mode)
