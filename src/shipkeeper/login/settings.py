"""The gateway's configuration: read, checked line by line, and made ready for use."""

import re
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from shipkeeper.errors import UsageError
from shipkeeper.ldap.connection import Server
from shipkeeper.ldap.filter import Filter, FilterError, parse_filter, places
from shipkeeper.ldap.messages import Scope
from shipkeeper.ldap.pool import PoolOptions, Reader
from shipkeeper.login.located import Located
from shipkeeper.model.duration import parse_duration
from shipkeeper.serving.https import Listen, parse_address

T = TypeVar("T")

_PORTS = {"ldaps": 636, "ldap": 389}
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9;-]*|\d+(\.\d+)+")
SHORTEST_KEY = 32


class _Section(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True
):
    """Fields that are spelled wrong are told, not ignored."""


class Tls(_Section, frozen=True, kw_only=True):
    """What the gateway serves with; `client_ca` signed who may send TokenReviews."""

    certificate: str
    key: str
    client_ca: str = msgspec.field(name="clientCA", default="")


class Tokens(_Section, frozen=True, kw_only=True):
    """Tokens are signed with the first key of the file and renewed until the session ends."""

    key_file: str
    lifetime: str = "10m"
    session: str = "12h"


class Users(_Section, frozen=True, kw_only=True):
    """How a user is found by `{login}`; `uid` never names two entries, even one after the other."""

    base: str
    filter: str
    name: str = "uid"
    uid: str = "entryUUID"
    scope: Scope = "subtree"
    disabled: str = ""


class Groups(_Section, frozen=True, kw_only=True):
    """How the groups of `{dn}` are found, and groups of groups, so many levels up."""

    base: str
    filter: str = "(member={dn})"
    name: str = "cn"
    scope: Scope = "subtree"
    nested: int = 8


class Ldap(_Section, frozen=True, kw_only=True):
    """The directory servers, and what is where in them."""

    servers: tuple[str, ...]
    users: Users
    groups: Groups | None = None
    ca: str = ""
    bind_dn: str = msgspec.field(name="bindDN", default="")
    bind_password_file: str = ""
    timeout: str = "5s"
    binds: int = 8


class Prefixes(_Section, frozen=True, kw_only=True):
    """What is put before every name, so that none is taken for another's."""

    user: str = "ldap:"
    group: str = "ldap:"


class Guessing(_Section, frozen=True, kw_only=True):
    """So many failures in a window: of a user from an address, of a user, from an address."""

    failures: int = 5
    failures_of_login: int = 50
    failures_of_address: int = 100
    window: str = "5m"


class _Document(_Section, frozen=True, kw_only=True):
    address: str
    url: str
    tls: Tls
    tokens: Tokens
    ldap: Ldap
    prefix: Prefixes = Prefixes()
    cache: str = "30s"
    guessing: Guessing = Guessing()
    audit: str = "-"


class UserSearch(msgspec.Struct, frozen=True, kw_only=True):
    """`Users` with its filters read."""

    base: str
    scope: Scope
    filter: Filter
    name: str
    uid: str
    disabled: Filter | None


class GroupSearch(msgspec.Struct, frozen=True, kw_only=True):
    """`Groups` with its filter read."""

    base: str
    scope: Scope
    filter: Filter
    name: str
    nested: int


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a gateway needs, checked."""

    path: Path
    url: str
    listen: Listen
    keys: tuple[bytes, ...]
    lifetime: timedelta
    session: timedelta
    pool: PoolOptions
    users: UserSearch
    groups: GroupSearch | None
    prefix: Prefixes
    cache: timedelta
    guessing: Guessing
    window: timedelta
    audit: str


class _Checked:
    """A document's values made ready; what cannot be is told with its line."""

    def __init__(self, located: Located) -> None:
        self._located = located
        self._folder = located.path.absolute().parent

    def make(self, place: str, make: Callable[[], T]) -> T:
        try:
            return make()
        except UsageError as error:
            raise self._located.wrong(place, error.message) from error
        except (ValueError, OSError) as error:
            raise self._located.wrong(place, str(error)) from error

    def wrong(self, place: str, why: str) -> UsageError:
        return self._located.wrong(place, why)

    def file(self, place: str, name: str) -> Path:
        path = self._folder / name
        # Opened, not asked about: what counts is whether it can be read.
        self.make(place, lambda: path.open("rb").close())
        return path

    def duration(self, place: str, text: str, *, longest: timedelta) -> timedelta:
        found = self.make(place, lambda: parse_duration(text))
        if not timedelta(0) < found <= longest:
            raise self.wrong(place, f"{text} is not between 0 and {longest}")
        return found

    def filter(self, place: str, text: str, needed: frozenset[str]) -> Filter:
        try:
            found = parse_filter(text)
        except FilterError as error:
            raise self.wrong(place, str(error)) from error
        if places(found) != needed:
            wanted = (
                " and ".join(f"{{{name}}}" for name in sorted(needed)) or "no place for a value"
            )
            raise self.wrong(place, f"{text} must have {wanted}, and nothing else in braces")
        return found

    def attribute(self, place: str, name: str) -> str:
        if not _ATTRIBUTE.fullmatch(name):
            raise self.wrong(place, f"{name!r} is not the name of an attribute")
        return name

    def count(self, place: str, value: int, *, least: int) -> int:
        if not least <= value <= 100_000:
            raise self.wrong(place, f"{value} is not between {least} and 100000")
        return value


def read_settings(path: Path) -> Settings:
    """A configuration; UsageError that names the first line that is wrong."""
    located = Located(path)
    document = located.convert(_Document)
    checked = _Checked(located)
    ldap = document.ldap
    session = checked.duration(
        ".tokens.session", document.tokens.session, longest=timedelta(days=7)
    )
    return Settings(
        path=path,
        url=checked.make(".url", lambda: _https(document.url)),
        listen=_listen(checked, document),
        keys=_keys(checked, document.tokens),
        lifetime=checked.duration(".tokens.lifetime", document.tokens.lifetime, longest=session),
        session=session,
        pool=_pool(checked, ldap),
        users=_users(checked, ldap.users),
        groups=_groups(checked, ldap.groups) if ldap.groups else None,
        prefix=_prefix(checked, document.prefix),
        cache=checked.duration(".cache", document.cache, longest=timedelta(minutes=10)),
        guessing=_guessing(checked, document.guessing),
        window=checked.duration(
            ".guessing.window", document.guessing.window, longest=timedelta(days=1)
        ),
        audit=document.audit,
    )


def _listen(checked: _Checked, document: _Document) -> Listen:
    host, port = checked.make(".address", lambda: parse_address(document.address))
    tls = document.tls
    return Listen(
        certificate=checked.file(".tls.certificate", tls.certificate),
        key=checked.file(".tls.key", tls.key),
        client_ca=checked.file(".tls.clientCA", tls.client_ca) if tls.client_ca else None,
        client_optional=True,
        host=host,
        port=port,
    )


def _keys(checked: _Checked, tokens: Tokens) -> tuple[bytes, ...]:
    path = checked.file(".tokens.keyFile", tokens.key_file)
    keys = tuple(line.strip() for line in path.read_bytes().splitlines() if line.strip())
    if not keys or any(len(key) < SHORTEST_KEY for key in keys):
        why = f"each line of {path} must be a random key of at least {SHORTEST_KEY} characters"
        raise checked.wrong(".tokens.keyFile", f"{why}: openssl rand -hex 32")
    return keys


def _pool(checked: _Checked, ldap: Ldap) -> PoolOptions:
    if not ldap.servers:
        raise checked.wrong(".ldap.servers", "there is none")
    servers = tuple(
        checked.make(f".ldap.servers[{index}]", lambda url=url: _server(url))
        for index, url in enumerate(ldap.servers)
    )
    authority = checked.file(".ldap.ca", ldap.ca) if ldap.ca else None
    tls = checked.make(".ldap.ca", lambda: ssl.create_default_context(cafile=authority))
    tls.minimum_version = ssl.TLSVersion.TLSv1_2
    return PoolOptions(
        servers=servers,
        tls=tls,
        reader=_reader(checked, ldap),
        timeout=checked.duration(".ldap.timeout", ldap.timeout, longest=timedelta(minutes=1)),
        binds=checked.count(".ldap.binds", ldap.binds, least=1),
    )


def _reader(checked: _Checked, ldap: Ldap) -> Reader:
    if not ldap.bind_dn:
        return Reader()
    if not ldap.bind_password_file:
        raise checked.wrong(".ldap.bindDN", "bindPasswordFile is missing beside it")
    place = ".ldap.bindPasswordFile"
    path = checked.file(place, ldap.bind_password_file)
    password = checked.make(place, path.read_text).rstrip("\r\n")
    if not password:
        raise checked.wrong(place, f"{path} is empty: without a password a bind is anonymous")
    return Reader(ldap.bind_dn, password)


def _users(checked: _Checked, users: Users) -> UserSearch:
    place = ".ldap.users"
    disabled = None
    if users.disabled:
        disabled = checked.filter(f"{place}.disabled", users.disabled, frozenset())
    return UserSearch(
        base=users.base,
        scope=users.scope,
        filter=checked.filter(f"{place}.filter", users.filter, frozenset({"login"})),
        name=checked.attribute(f"{place}.name", users.name),
        uid=checked.attribute(f"{place}.uid", users.uid),
        disabled=disabled,
    )


def _groups(checked: _Checked, groups: Groups) -> GroupSearch:
    place = ".ldap.groups"
    return GroupSearch(
        base=groups.base,
        scope=groups.scope,
        filter=checked.filter(f"{place}.filter", groups.filter, frozenset({"dn"})),
        name=checked.attribute(f"{place}.name", groups.name),
        nested=checked.count(f"{place}.nested", groups.nested, least=0),
    )


def _prefix(checked: _Checked, prefix: Prefixes) -> Prefixes:
    for place, value in ((".prefix.user", prefix.user), (".prefix.group", prefix.group)):
        if value.startswith("system:"):
            raise checked.wrong(place, "names beginning with system: are Kubernetes' own")
    return prefix


def _guessing(checked: _Checked, guessing: Guessing) -> Guessing:
    checked.count(".guessing.failures", guessing.failures, least=1)
    checked.count(".guessing.failuresOfLogin", guessing.failures_of_login, least=1)
    checked.count(".guessing.failuresOfAddress", guessing.failures_of_address, least=1)
    return guessing


def _https(url: str) -> str:
    found = urlsplit(url)
    if found.scheme != "https" or not found.hostname or found.path.strip("/"):
        raise ValueError(f"{url} is not https://HOST or https://HOST:PORT")
    return url.rstrip("/")


def _server(url: str) -> Server:
    found = urlsplit(url)
    if found.scheme not in _PORTS or not found.hostname or found.path.strip("/"):
        raise ValueError(f"{url} is not ldaps://HOST[:PORT], or ldap://HOST[:PORT] for StartTLS")
    port = found.port or _PORTS[found.scheme]
    return Server(host=found.hostname, port=port, is_ldaps=found.scheme == "ldaps")
