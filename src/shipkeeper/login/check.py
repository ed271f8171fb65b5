"""Each step of a login, one after the other, and what came of it."""

from collections.abc import AsyncGenerator

import msgspec

from shipkeeper.engine.report import Column, Report, Table, item_list
from shipkeeper.errors import ShipkeeperError
from shipkeeper.ldap.filter import describe_filter
from shipkeeper.ldap.messages import Search
from shipkeeper.ldap.pool import Pool
from shipkeeper.login.directory import Directory, Person, RefusedError
from shipkeeper.login.settings import Settings

_COLUMNS = tuple(map(Column, ("STEP", "RESULT", "DETAIL")))


class Step(msgspec.Struct, frozen=True):
    """A step of a login: ok, failed or skipped, and what was seen."""

    step: str
    result: str
    detail: str


async def explain(
    settings: Settings, pool: Pool, login: str, password: str | None
) -> AsyncGenerator[Step]:
    """The steps of a login as far as it comes; without a password that is not tried."""
    for server, found in await pool.probe():
        if isinstance(found, ShipkeeperError):
            yield Step(f"server {server}", "failed", found.message)
        else:
            version, ends = found
            reader = settings.pool.reader.dn or "anonymously"
            yield Step(
                f"server {server}", "ok", f"{version}, certificate until {ends}; reads as {reader}"
            )
    directory = Directory(settings, pool)
    try:
        person = await _found(directory, login)
        yield Step("user", "ok", f"{_said(directory.search_for(login))} finds {person.dn}")
        yield Step("name", "ok", f"{person.name}, known again by {settings.users.uid} {person.uid}")
        yield await _enabled(settings, directory, person)
        yield await _password(directory, person, password)
        async for step in _groups(settings, directory, person):
            yield step
    except ShipkeeperError as error:
        yield Step(error.reason, "failed", error.message)


async def _found(directory: Directory, login: str) -> Person:
    entries = await directory.entries(login)
    try:
        return directory.read(entries)
    except RefusedError as error:
        said = f"{_said(directory.search_for(login))}: {error.message}"
        raise RefusedError(said, reason=error.reason, hint=error.hint) from error


async def _enabled(settings: Settings, directory: Directory, person: Person) -> Step:
    disabled = settings.users.disabled
    if disabled is None:
        return Step("enabled", "skipped", "ldap.users.disabled is not set")
    said = describe_filter(disabled, {})
    if await directory.is_disabled(person):
        return Step("enabled", "failed", f"{said} matches the entry: no login")
    return Step("enabled", "ok", f"{said} does not match the entry")


async def _password(directory: Directory, person: Person, password: str | None) -> Step:
    if password is None:
        return Step("password", "skipped", "none was given: --password-file tries one")
    try:
        await directory.check_password(person, password)
    except RefusedError as error:
        return Step("password", "failed", error.message)
    return Step("password", "ok", f"a bind as {person.dn} succeeds")


async def _groups(settings: Settings, directory: Directory, person: Person) -> AsyncGenerator[Step]:
    groups = settings.groups
    if groups is None:
        yield Step("groups", "skipped", "ldap.groups is not set")
        return
    found = await directory.groups(person.dn)
    search = Search(base=groups.base, filter=groups.filter, values={"dn": person.dn}, attributes=())
    levels = f"{found.entries} groups on {found.levels} levels of at most {groups.nested + 1}"
    yield Step("groups", "ok", f"{_said(search)}: {levels}")
    for name in found.names:
        yield Step("group", "ok", name)
    for name in found.left_out:
        yield Step("group", "left out", f"{name!r} is Kubernetes' own, or cannot be printed")


def _said(search: Search) -> str:
    return f"{describe_filter(search.filter, search.values)} below {search.base}"


def check_report(login: str, steps: list[Step]) -> Report:
    """The steps as a table."""
    return Report(
        value=item_list(steps),
        body=(Table(_COLUMNS, tuple((each.step, each.result, each.detail) for each in steps)),),
        names=(f"user/{login}",),
    )
