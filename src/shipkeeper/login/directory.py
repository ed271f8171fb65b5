"""Users and groups in a directory: found by what was typed, never by how it was typed."""

import secrets
from collections.abc import Sequence

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.ldap.filter import either, filled
from shipkeeper.ldap.messages import SUCCESS, Entry, Search
from shipkeeper.ldap.pool import Pool
from shipkeeper.login.settings import GroupSearch, Settings

_RESERVED = "system:"
# DNs in one search, and octets of a login and a password: nobody has longer ones.
_AT_ONCE = 100
LONGEST_LOGIN, LONGEST_PASSWORD = 256, 1024
# What directories answer to a password that is wrong, or of somebody who may not log in.
_REFUSALS = frozenset({19, 32, 48, 49, 50, 53})


class RefusedError(ShipkeeperError):
    """Somebody is not who they say, or may not log in; the reason is for the log alone."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A user as the directory has them; `name` and `groups` are what Kubernetes is told."""

    dn: str
    uid: str
    name: str
    groups: tuple[str, ...] = ()


class GroupsFound(msgspec.Struct, frozen=True, kw_only=True):
    """The names of groups, how many levels up were looked at, and which names are left out."""

    names: tuple[str, ...] = ()
    entries: int = 0
    levels: int = 0
    left_out: tuple[str, ...] = ()


class Directory:
    """Looks people up by a gateway's settings; nothing is remembered here."""

    def __init__(self, settings: Settings, pool: Pool) -> None:
        self._settings = settings
        self._pool = pool

    async def person(self, login: str) -> Person:
        """Exactly one enabled user, with groups; RefusedError for none, several or a disabled one.

        LdapError where the directory gives no answer.
        """
        person = self.read(await self.entries(login))
        if await self.is_disabled(person):
            raise refused("Disabled", f"{person.dn} is disabled")
        found = await self.groups(person.dn)
        return msgspec.structs.replace(person, groups=found.names)

    async def entries(self, login: str) -> list[Entry]:
        """What the filter finds, of which one too many is enough to know."""
        require_login(login)
        return await self._pool.search(self.search_for(login))

    def search_for(self, login: str) -> Search:
        """The search for a login."""
        users = self._settings.users
        return Search(
            base=users.base,
            scope=users.scope,
            filter=users.filter,
            values={"login": login},
            attributes=(users.name, users.uid),
            limit=2,
        )

    def read(self, entries: Sequence[Entry]) -> Person:
        """The one entry as a person without groups; RefusedError if it is not one, or unfit."""
        if not entries:
            raise refused("UnknownUser", "no entry matches")
        if len(entries) > 1:
            names = " and ".join(entry.dn for entry in entries)
            raise refused("SeveralUsers", f"more than one entry matches: {names}")
        entry, users = entries[0], self._settings.users
        name, uid = _only(entry, users.name), _only(entry, users.uid)
        try:
            full = self._settings.prefix.user + name.decode()
        except UnicodeDecodeError:
            raise refused("UnfitEntry", f"{users.name} of {entry.dn} is no text") from None
        if full.startswith(_RESERVED) or not full.isprintable():
            raise refused("ReservedName", f"{full!r} cannot be a user's name")
        return Person(dn=entry.dn, uid=uid.hex() if not uid.isascii() else uid.decode(), name=full)

    async def is_disabled(self, person: Person) -> bool:
        """Whether the filter for disabled users matches the entry."""
        disabled = self._settings.users.disabled
        if disabled is None:
            return False
        search = Search(base=person.dn, scope="base", filter=disabled, attributes=("1.1",), limit=1)
        return bool(await self._pool.search(search))

    async def check_password(self, person: Person, password: str) -> None:
        """Log in as the person; RefusedError with the directory's words if that fails."""
        require_password(password)
        result = await self._pool.bind(person.dn, password)
        if result.code == SUCCESS:
            return
        if result.code not in _REFUSALS:
            raise ShipkeeperError(
                f"the directory answers a bind with result {result.code}: {result.message}",
                reason="LdapResult",
                hint="see the directory server's log",
            )
        raise refused("WrongPassword", f"result {result.code} {result.message}".rstrip())

    async def check_nobody(self) -> None:
        """Try a password that is none, on nobody: it takes as long as on somebody."""
        await self._pool.bind(f"cn=nobody,{self._settings.users.base}", secrets.token_urlsafe())

    async def groups(self, dn: str) -> GroupsFound:
        """The groups of an entry, and theirs, each once: cycles end where they began."""
        groups = self._settings.groups
        if groups is None:
            return GroupsFound()
        names: dict[str, None] = {}
        seen: set[str] = set()
        asked, levels = [dn], 0
        while asked and levels <= groups.nested:
            entries = [each for each in await self._members(groups, asked) if each.dn not in seen]
            found = {entry.dn: entry for entry in entries}
            seen |= found.keys()
            for entry in found.values():
                names |= dict.fromkeys(_texts(entry, groups.name))
            asked, levels = list(found), levels + 1
        full = [self._settings.prefix.group + name for name in names]
        fit = tuple(name for name in full if is_fit(name))
        left_out = tuple(name for name in full if not is_fit(name))
        return GroupsFound(names=fit, entries=len(seen), levels=levels, left_out=left_out)

    async def _members(self, groups: GroupSearch, dns: Sequence[str]) -> list[Entry]:
        found: list[Entry] = []
        for start in range(0, len(dns), _AT_ONCE):
            several = either(
                tuple(filled(groups.filter, {"dn": dn}) for dn in dns[start : start + _AT_ONCE])
            )
            search = Search(
                base=groups.base, scope=groups.scope, filter=several, attributes=(groups.name,)
            )
            found += await self._pool.search(search)
        return found


def require_login(login: str) -> None:
    """RefusedError for what nobody can be called."""
    if not login or len(login.encode(errors="replace")) > LONGEST_LOGIN or not login.isprintable():
        raise refused("UnfitLogin", "empty, too long, or with characters that cannot be printed")


def require_password(password: str) -> None:
    """RefusedError for what is nobody's: an empty one would be an anonymous bind, and succeed."""
    if not password:
        raise refused("NoPassword", "an empty password would be an anonymous bind")
    if len(password.encode(errors="replace")) > LONGEST_PASSWORD or "\0" in password:
        raise refused("WrongPassword", "this can be nobody's password")


def is_fit(group: str) -> bool:
    """Whether a group may be named to Kubernetes: its own are never given by a directory."""
    return bool(group) and not group.startswith(_RESERVED) and group.isprintable()


def refused(reason: str, why: str) -> RefusedError:
    """The refusal for a reason."""
    hint = "shipkeeper login-gateway CONFIG --check USER explains each step"
    return RefusedError(why, reason=reason, hint=hint)


def _only(entry: Entry, attribute: str) -> bytes:
    values = entry.values(attribute)
    if len(values) != 1 or not values[0]:
        raise refused("UnfitEntry", f"{entry.dn} has {len(values)} values of {attribute}, not one")
    return values[0]


def _texts(entry: Entry, attribute: str) -> list[str]:
    return [value.decode(errors="replace") for value in entry.values(attribute)]
