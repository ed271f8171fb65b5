"""Logins against a real directory: whoever they are, only they get in, and as themselves."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.login.slapd import (
    PEOPLE,
    Slapd,
    entry,
    foundation,
    person,
    team,
    team_dn,
    user_dn,
)
from tests.login.world import Client, configured, served

MANY = 5000
# Names that are something else in a filter, in a DN, or on a terminal.
ODD = ("o'hara", "smith (jr)", "doe, jane", "a*b", "jürgen", "名前", "back\\slash", "a+b=c", "#1")
# What is a filter, or a part of one, and nobody's name.
TRICKS = (
    "*",
    "*)(uid=*",
    "*)(uid=*))(|(uid=*",
    "ann)(&)",
    "ann)(|(uid=ann",
    "\\2a",
    "ann\\00",
    "a*",
    f"uid=ann,{PEOPLE}",
    "{login}",
    "{dn}",
    "(",
    "ann\0",
    "x" * 300,
    "",
    " ",
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    server = Slapd(tmp_path_factory.mktemp("slapd"))
    server.fill(
        [
            *foundation(),
            *map(person, ("ann", "bob", "many", "gone", "moved", "outside", "locked", *ODD)),
            entry(f"ou=more,{PEOPLE}", "organizationalUnit", ou="more"),
            person("twice"),
            person("twice", dn=f"uid=twice,ou=more,{PEOPLE}"),
            person("system:admin"),
            team("crew", user_dn("ann"), user_dn("smith (jr)"), user_dn("doe, jane")),
            team("officers (all)", team_dn("crew"), user_dn("jürgen")),
            team("admirals, retired", team_dn("officers (all)")),
            # A cycle through the one above.
            team("round", team_dn("admirals, retired"), team_dn("trip")),
            team("trip", team_dn("round"), team_dn("trip")),
            team("system:masters", user_dn("ann")),
            *(team(f"team-{n}", user_dn("many")) for n in range(MANY)),
        ]
    )
    yield server.start()
    server.kill()


@pytest.fixture(params=["ldaps", "start_tls"])
async def client(
    request: pytest.FixtureRequest, directory: Slapd, tmp_path: Path
) -> AsyncIterator[Client]:
    url = getattr(directory, request.param)
    async with served(configured(tmp_path, [url], directory.home / "ca.crt")) as found:
        yield found


@pytest.fixture
async def over_ldaps(directory: Slapd, tmp_path: Path) -> AsyncIterator[Client]:
    settings = configured(tmp_path, [directory.ldaps], directory.home / "ca.crt", cache="1s")
    async with served(settings) as found:
        yield found


async def test_one_gets_in_with_groups_of_groups(client: Client) -> None:
    user = await client.who("ann")
    assert user
    assert user["username"] == "ldap:ann"
    names = {"crew", "officers (all)", "admirals, retired", "round", "trip"}
    # system:masters was prefixed, so that it is nobody's in Kubernetes.
    assert set(user["groups"]) == {f"ldap:{name}" for name in (*names, "system:masters")}
    assert await client.who("ann", "wrong") is None
    assert await client.who("nobody") is None


@pytest.mark.parametrize("name", ODD)
async def test_odd_names_are_names(over_ldaps: Client, name: str) -> None:
    user = await over_ldaps.who(name)
    assert user
    assert user["username"] == f"ldap:{name}"
    expected = {
        "smith (jr)": "ldap:crew",
        "doe, jane": "ldap:crew",
        "jürgen": "ldap:officers (all)",
    }
    assert (expected.get(name, "") in user["groups"]) == (name in expected)


@pytest.mark.parametrize("login", TRICKS)
async def test_tricks_are_nobodys_names(over_ldaps: Client, login: str) -> None:
    assert await over_ldaps.who(login) is None


@pytest.mark.parametrize("password", ["", "\0", "correct horse\0", "*", "x" * 5000])
async def test_what_is_no_password(over_ldaps: Client, password: str) -> None:
    assert await over_ldaps.who("ann", password) is None


async def test_two_of_one_name_are_neither(over_ldaps: Client) -> None:
    assert await over_ldaps.who("twice") is None
    assert over_ldaps.audit()[-1]["reason"] == "SeveralUsers"


async def test_thousands_of_groups_come_in_pages(over_ldaps: Client) -> None:
    user = await over_ldaps.who("many")
    assert user
    assert set(user["groups"]) == {f"ldap:team-{number}" for number in range(MANY)}


async def test_without_prefixes_kubernetes_own_names_are_nobodys(
    directory: Slapd, tmp_path: Path
) -> None:
    settings = configured(
        tmp_path, [directory.ldaps], directory.home / "ca.crt", prefix={"user": "", "group": ""}
    )
    async with served(settings) as client:
        user = await client.who("ann")
        assert user
        assert "crew" in user["groups"]
        assert "system:masters" not in user["groups"]
        assert await client.who("system:admin") is None


async def test_who_is_disabled_is_out_within_the_time(over_ldaps: Client, directory: Slapd) -> None:
    _, answer = await over_ldaps.login("gone")
    assert (await over_ldaps.review(answer["token"]))["authenticated"]
    lock = "changetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n"
    directory.change(f"dn: {user_dn('gone')}\n{lock}")
    # Renewal looks at once; a review after what is remembered, a second here.
    assert (await over_ldaps.post("/renew", token=answer["renewal"]))[0] == 401
    assert (await over_ldaps.review(answer["token"])) == {"authenticated": False}
    assert await over_ldaps.who("gone") is None
    assert {each["reason"] for each in over_ldaps.audit() if not each["allowed"]} == {"Disabled"}


async def test_a_review_alone_notices_within_the_time(over_ldaps: Client, directory: Slapd) -> None:
    _, answer = await over_ldaps.login("outside")
    assert (await over_ldaps.review(answer["token"]))["authenticated"]
    directory.change(f"dn: {user_dn('outside')}\nchangetype: delete\n")
    await asyncio.sleep(1.1)
    assert (await over_ldaps.review(answer["token"])) == {"authenticated": False}


async def test_a_later_user_of_the_name_does_not_inherit_a_token(
    over_ldaps: Client, directory: Slapd
) -> None:
    _, answer = await over_ldaps.login("moved")
    directory.change(f"dn: {user_dn('moved')}\nchangetype: delete\n")
    added = person("moved").replace("\n", "\nchangetype: add\n", 1)
    directory.change(added)
    assert (await over_ldaps.post("/renew", token=answer["renewal"]))[0] == 401
    assert (await over_ldaps.review(answer["token"])) == {"authenticated": False}
    assert over_ldaps.audit()[-1]["reason"] == "OtherEntry"


async def test_tokens_that_are_none(over_ldaps: Client) -> None:
    _, answer = await over_ldaps.login("ann")
    token: str = answer["token"]
    mark, payload, signature = token.split(".")
    for wrong in (
        "",
        "x",
        token[:-1],
        f"{token}x",
        f"{mark}..{signature}",
        f"{mark}.{payload}.",
        f"{mark}.{payload[:-4]}AAAA.{signature}",
        f"{token}\u00e9",
        token.upper(),
        "." * 1000,
        # What renews a session is never for an API server, nor the other way round.
        answer["renewal"],
    ):
        assert await over_ldaps.review(wrong) == {"authenticated": False}
    for wrong in ("x", token, f"{answer['renewal']}x"):
        assert (await over_ldaps.post("/renew", token=wrong))[0] == 401
    assert (await over_ldaps.post("/renew", token=answer["renewal"]))[0] == 200
    assert (await over_ldaps.review(token, "v1beta1"))["user"]["username"] == "ldap:ann"
    # A token is for the API server alone: it is not said to be good for another audience.
    assert "audiences" not in await over_ldaps.review(token, audiences=["vault"])


async def test_guessing_ends(directory: Slapd, tmp_path: Path) -> None:
    settings = configured(
        tmp_path, [directory.ldaps], directory.home / "ca.crt", guessing={"failures": 3}
    )
    async with served(settings) as client:
        together = await asyncio.gather(*(client.login("ann", f"guess {n}") for n in range(20)))
        codes = sorted(code for code, _ in together)
        assert codes == [401] * 3 + [429] * 17
        # Not even the right password tells the guesser anything now, and others still get in.
        assert (await client.login("ANN"))[0] == 429
        assert await client.who("bob")


async def test_whoever_logs_in_often_is_no_guesser(over_ldaps: Client) -> None:
    codes = {
        code for code, _ in await asyncio.gather(*(over_ldaps.login("bob") for _ in range(60)))
    }
    assert codes == {200}


async def test_no_secret_is_in_the_audit_log(over_ldaps: Client) -> None:
    _, answer = await over_ldaps.login("ann")
    await over_ldaps.login("ann", "a wrong secret")
    await over_ldaps.login("my secret typed as a name")
    await over_ldaps.review(answer["token"])
    text = (over_ldaps.folder / "audit.log").read_text()
    for secret in ("correct horse", "a wrong secret", "my secret typed", answer["token"]):
        assert secret not in text
    assert [each["reason"] for each in over_ldaps.audit()] == [
        "Authenticated",
        "WrongPassword",
        "UnknownUser",
        "Authenticated",
    ]


async def test_a_killed_server_is_replaced_by_the_next(tmp_path: Path) -> None:
    servers = [_small(tmp_path / name) for name in ("one", "two")]
    bundle = tmp_path / "both.crt"
    bundle.write_bytes(b"".join((each.home / "ca.crt").read_bytes() for each in servers))
    try:
        settings = configured(tmp_path, [each.ldaps for each in servers], bundle, cache="1ms")
        async with served(settings) as client:
            assert await client.who("ann")
            servers[0].kill()
            assert await client.who("ann")
            # One that does not answer any more, though it still holds its connections.
            servers[0].start()
            servers[1].kill()
            assert await client.who("ann")
            servers[0].kill()
            code, answer = await client.login("ann")
            assert (code, "try again" in answer["error"]) == (503, True)
            servers[1].start()
            assert await client.who("ann")
    finally:
        for each in servers:
            each.kill()


async def test_a_server_that_answers_no_more_is_passed_over(tmp_path: Path) -> None:
    servers = [_small(tmp_path / name) for name in ("one", "two")]
    bundle = tmp_path / "both.crt"
    bundle.write_bytes(b"".join((each.home / "ca.crt").read_bytes() for each in servers))
    try:
        # With the usual timeout: the server that is there must be quicker on a busy machine, too.
        urls = [each.start_tls for each in servers]
        settings = configured(tmp_path, urls, bundle, cache="1ms")
        async with served(settings) as client, asyncio.timeout(300):
            assert await client.who("ann")
            os.kill(servers[0].pid, signal.SIGSTOP)
            assert await client.who("ann")
            os.kill(servers[1].pid, signal.SIGSTOP)
            assert (await client.login("ann"))[0] == 503
            for each in servers:
                os.kill(each.pid, signal.SIGCONT)
            assert await client.who("ann")
    finally:
        for each in servers:
            each.kill()


async def test_a_server_with_an_expired_certificate_is_not_spoken_to(tmp_path: Path) -> None:
    server = _small(tmp_path / "one", not_after=datetime.now(UTC) - timedelta(minutes=1))
    try:
        for url in (server.ldaps, server.start_tls):
            settings = configured(tmp_path, [url], server.home / "ca.crt")
            async with served(settings) as client:
                assert (await client.login("ann"))[0] == 503
                assert "certificate has expired" in client.audit()[-1]["detail"]
    finally:
        server.kill()


async def test_a_server_of_another_authority_is_not_spoken_to(
    directory: Slapd, tmp_path: Path
) -> None:
    other = Slapd(tmp_path / "other")
    for url in (directory.ldaps, directory.start_tls):
        async with served(configured(tmp_path, [url], other.home / "ca.crt")) as client:
            assert (await client.login("ann"))[0] == 503
            assert "is not trusted" in client.audit()[-1]["detail"]


def _small(home: Path, **settings: datetime) -> Slapd:
    server = Slapd(home, **settings)
    server.fill([*foundation(), person("ann")])
    return server.start()
