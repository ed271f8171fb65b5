"""Reading what identities come from, by the API and the hosts; never writes, no token is kept."""

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec

from shipkeeper.access.certs.certificate import UnreadableError, Usage, parse_pem
from shipkeeper.access.certs.host import HostLook
from shipkeeper.access.certs.host_look import look_at_host
from shipkeeper.access.certs.kinds import REQUESTS
from shipkeeper.access.certs.ports import api_server_port
from shipkeeper.access.certs.probe import look_at
from shipkeeper.access.certs.renew.leaves import API_SERVER, chain_of
from shipkeeper.access.certs.tls import dial_from_here, lenient_context
from shipkeeper.access.kinds import RBAC_KINDS
from shipkeeper.access.observe import observe as observe_policy
from shipkeeper.engine.finding import Unchecked
from shipkeeper.errors import ShipkeeperError
from shipkeeper.hosts.host import Host, Session
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.reader import Reader
from shipkeeper.model.meta import KubeObject
from shipkeeper.users.bootstrap_tokens import TYPE as BOOTSTRAP
from shipkeeper.users.inventory import TOKEN_TYPE, Held, HeldRow, Sources
from shipkeeper.users.objects import SECRETS, SERVICE_ACCOUNTS, SecretData
from shipkeeper.users.token_file import parse_token_file

T = TypeVar("T")
_ASKED = ("/version", "/api", "/api/v1/namespaces/kube-public/configmaps/cluster-info")


async def observe(connection: Connection, hosts: Mapping[str, Host]) -> Sources:
    """Everything there is to see; what may not be read is told in `unchecked`."""
    looking = _Looking(connection)
    policy, requests, accounts = await asyncio.gather(
        observe_policy(connection, RBAC_KINDS),
        looking.tried("CertificateSigningRequests", looking.requests, []),
        looking.tried("ServiceAccounts", looking.accounts, []),
    )
    tokens, bootstrap, answers = await asyncio.gather(
        looking.tried("token Secrets", lambda: looking.secrets(TOKEN_TYPE), []),
        looking.tried("bootstrap tokens", lambda: looking.secrets(BOOTSTRAP), []),
        looking.anonymous(),
    )
    found = await asyncio.gather(*(looking.look(name, host) for name, host in hosts.items()))
    if not hosts:
        why = "certificates and token files of hosts are looked at with --ssh alone"
        looking.unchecked.append(Unchecked(what="hosts", why=why))
    looking.unchecked += [Unchecked(what=each.what, why=each.why) for each in policy.unread]
    files = [each for one in found for each in one]
    return Sources(
        policy=policy,
        certificates=(*requests, *(each for each in files if isinstance(each, Held))),
        accounts=tuple(accounts),
        secrets=(*tokens, *bootstrap),
        rows=tuple(each for each in files if isinstance(each, HeldRow)),
        answers=answers,
        unchecked=tuple(looking.unchecked),
    )


class _Looking:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._reader = Reader(connection)
        self.unchecked: list[Unchecked] = []

    async def tried(self, what: str, look: Callable[[], Awaitable[T]], otherwise: T) -> T:
        """What a look gives; if it fails, that it was not made."""
        try:
            return await look()
        except ShipkeeperError as error:
            self.unchecked.append(Unchecked(what=what, why=error.message))
            return otherwise

    async def requests(self) -> list[Held]:
        """Client certificates that were issued, as long as their requests are kept: an hour."""
        found: list[Held] = []
        for each in (await self._reader.list(REQUESTS)).items:
            try:
                chain = parse_pem(each.status.certificate) if each.status.certificate else ()
            except UnreadableError:
                # `certs check` finds it; nobody logs in with it.
                continue
            if chain and chain[0].may(Usage.CLIENT):
                origin = f"CertificateSigningRequest {each.name}"
                found.append(Held(certificate=chain[0], origin=origin))
        return found

    async def accounts(self) -> list[KubeObject]:
        """Every ServiceAccount."""
        return (await self._reader.list(SERVICE_ACCOUNTS)).items

    async def secrets(self, type_: str) -> list[SecretData]:
        """Secrets of one type, and no others."""
        return (await self._reader.list(SECRETS, field_selector=f"type={type_}")).items

    async def anonymous(self) -> dict[str, int]:
        """What the API server answers somebody who does not say who they are."""
        credentials = self._connection.credentials
        port = api_server_port(credentials.server, credentials.server_name, None, is_checked=False)
        seen = await look_at(
            msgspec.structs.replace(port, paths=_ASKED), dial_from_here, lenient_context()
        )
        if not seen.statuses:
            self.unchecked.append(Unchecked(what="anonymous requests", why=seen.error))
        return seen.statuses

    async def look(self, name: str, host: Host) -> tuple[Held | HeldRow, ...]:
        """A host, if it lets us."""
        return await self.tried(f"host {name}", lambda: self.host(name, host), ())

    async def host(self, name: str, host: Host) -> tuple[Held | HeldRow, ...]:
        """Clients' certificates of a host, and the rows of its API server's token file."""
        async with host.session() as session:
            look = await look_at_host(session, name)
            rows = await self._rows(session, name, look)
        return (*_held(look), *rows)

    async def _rows(self, session: Session, name: str, look: HostLook) -> tuple[HeldRow, ...]:
        path = (look.flags(API_SERVER) or {}).get("token-auth-file", "")
        if not path:
            return ()
        out: list[bytes] = []
        # The first column is the token: it stays there.
        program = f"""sed -E 's/^("([^"]|"")*"|[^",]*),/-,/' <{shlex.quote(path)}\n"""
        answer = await session.execute(program, out.append)
        if answer.exit_code:
            why = answer.errors.strip() or f"exit code {answer.exit_code}"
            self.unchecked.append(Unchecked(what=f"{name}:{path}", why=why))
        rows = parse_token_file(b"".join(out).decode("utf-8", "replace")).rows
        return tuple(HeldRow(row=row, origin=f"{name}:{path}") for row in rows)


def _held(look: HostLook) -> tuple[Held, ...]:
    """Certificates by which components and administrators of a host log in."""
    client = (look.flags(API_SERVER) or {}).get("client-ca-file", "")
    authority = look.file(client)
    issuers = {each.subject for each in (chain_of(authority) if authority else ())}
    found: dict[str, Held] = {}
    for file in look.files:
        chain = chain_of(file)
        is_client = bool(chain) and chain[0].may(Usage.CLIENT) and not chain[0].is_authority
        # On a worker it is not known who is trusted: what is a kubelet's, or a kubeconfig's, is.
        is_own = (
            chain[0].issuer in issuers
            if chain and issuers
            else file.is_kubeconfig or ("kubelet-client" in file.path)
        )
        if is_client and is_own and chain[0].common_name:
            origin = f"{look.name}:{file.path}"
            found[file.path] = Held(certificate=chain[0], origin=origin)
    return tuple(found.values())
