"""A gateway in front of directory servers, and requests to it."""

import ssl
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from shipkeeper.login.gateway import gateway
from shipkeeper.login.settings import Settings, read_settings
from shipkeeper.sandbox.certificates import create_authority, issue_client, issue_server
from tests.login.slapd import PASSWORD, PEOPLE, READER, READER_PASSWORD, TEAMS


def document(folder: Path, servers: Sequence[str], ca: Path, **changes: Any) -> dict[str, Any]:
    """A configuration, with the files that it names in the folder."""
    authority = create_authority("gateway-ca")
    pair = issue_server(authority, "gateway", ("127.0.0.1",))
    client = issue_client(authority, "api-server")
    for name, content in {
        "gateway-ca.crt": authority.certificate,
        "gateway.crt": pair.certificate,
        "gateway.key": pair.key,
        "client.crt": client.certificate,
        "client.key": client.key,
        "tokens.key": b"0123456789abcdef0123456789abcdef\n",
        "reader.password": READER_PASSWORD.encode(),
    }.items():
        (folder / name).write_bytes(content)
    found: dict[str, Any] = {
        "address": "127.0.0.1:0",
        "url": "https://127.0.0.1:8443",
        "tls": {"certificate": "gateway.crt", "key": "gateway.key"},
        "tokens": {"keyFile": "tokens.key"},
        "audit": str(folder / "audit.log"),
        "ldap": {
            "servers": list(servers),
            "ca": str(ca),
            "bindDN": READER,
            "bindPasswordFile": "reader.password",
            "users": {
                "base": PEOPLE,
                "filter": "(&(objectClass=inetOrgPerson)(uid={login}))",
                "disabled": "(pwdAccountLockedTime=*)",
            },
            "groups": {"base": TEAMS, "filter": "(&(objectClass=groupOfNames)(member={dn}))"},
        },
    }
    ldap_changes = changes.pop("ldap", {})
    return {**found, **changes, "ldap": {**found["ldap"], **ldap_changes}}


def configured(folder: Path, servers: Sequence[str], ca: Path, **changes: Any) -> Settings:
    """The settings of such a configuration."""
    path = folder / "login.yaml"
    path.write_bytes(msgspec.yaml.encode(document(folder, servers, ca, **changes)))
    return read_settings(path)


class Client:
    """Speaks to a gateway as users and API servers do."""

    def __init__(self, url: str, folder: Path, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.folder = folder
        self._session = session
        self._tls = ssl.create_default_context(cafile=folder / "gateway-ca.crt")

    async def post(self, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self._session.post(
            self.url + path, json=body, headers=headers, ssl=self._tls
        ) as answer:
            return answer.status, msgspec.json.decode(await answer.read() or b"null")

    async def login(self, login: str, password: str = PASSWORD) -> tuple[int, Any]:
        return await self.post("/login", {"login": login, "password": password})

    async def review(self, token: str, version: str = "v1", **spec: Any) -> dict[str, Any]:
        body = {
            "apiVersion": f"authentication.k8s.io/{version}",
            "kind": "TokenReview",
            "spec": {"token": token, **spec},
        }
        code, answer = await self.post("/tokenreview", body)
        assert code == 200, answer
        assert answer["apiVersion"] == body["apiVersion"]
        return answer["status"]

    async def who(self, login: str, password: str = PASSWORD) -> dict[str, Any] | None:
        """The user that Kubernetes is told of after a login; None if there is no login."""
        code, answer = await self.login(login, password)
        if code != 200:
            assert code in (401, 429, 503), answer
            return None
        return (await self.review(answer["token"])).get("user")

    def audit(self) -> list[dict[str, Any]]:
        lines = (self.folder / "audit.log").read_bytes().splitlines()
        return [msgspec.json.decode(line) for line in lines]


@asynccontextmanager
async def served(settings: Settings) -> AsyncGenerator[Client]:
    """A gateway that runs in this process."""
    async with (
        gateway(settings, print) as url,
        aiohttp.ClientSession(trust_env=False) as session,
    ):
        yield Client(url, settings.path.parent, session)
