"""The webhook: over TLS, to whom it should, by files that change."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from shipkeeper.access.serving import ServeOptions, serving
from shipkeeper.errors import UsageError
from shipkeeper.sandbox.certificates import create_authority, issue_client, issue_server
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.serving.https import Listen
from tests.access.servers import further_server
from tests.access.world import ask as asked
from tests.access.world import connected

ALICE = '{"user":"alice","namespace":"*","resource":"pods","readonly":true}\n'


class Place:
    """Certificates, and a policy to serve."""

    def __init__(self, directory: Path) -> None:
        authority = create_authority("webhook-ca")
        self.ca = directory / "ca.crt"
        self.ca.write_bytes(authority.certificate)
        self.server = self._pair(directory, "server", issue_server(authority, "w", ("127.0.0.1",)))
        self.client = self._pair(directory, "client", issue_client(authority, "api-server"))
        self.policy = directory / "policy.jsonl"
        self.policy.write_text(ALICE)

    @staticmethod
    def _pair(directory: Path, name: str, pair: Any) -> tuple[Path, Path]:
        certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
        certificate.write_bytes(pair.certificate)
        key.write_bytes(pair.key)
        return certificate, key

    def options(self, **fields: Any) -> ServeOptions:
        certificate, key = self.server
        denies = fields.pop("denies", False)
        listen = Listen(certificate=certificate, key=key, **fields)
        return ServeOptions(policy=self.policy, listen=listen, denies=denies)

    def tls(self, *, as_client: bool = True) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca)
        if as_client:
            context.load_cert_chain(*self.client)
        return context


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as found:
        yield found


def review(user: str, resource: str = "pods", *, version: str = "v1") -> dict[str, Any]:
    attributes = {"verb": "get", "resource": resource, "namespace": "n"}
    return {
        "apiVersion": f"authorization.k8s.io/{version}",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }


async def ask(
    session: aiohttp.ClientSession, url: str, tls: ssl.SSLContext, body: Any
) -> tuple[int, Any]:
    async with session.post(url, json=body, ssl=tls) as response:
        text = await response.read()
        return response.status, msgspec.json.decode(text) if response.ok else text


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
async def test_answers(session: aiohttp.ClientSession, place: Place, version: str) -> None:
    async with serving(place.options(), print) as url:
        code, answer = await ask(session, url, place.tls(), review("alice", version=version))
        assert code == 200
        assert answer["apiVersion"] == f"authorization.k8s.io/{version}"
        assert answer["status"] == {"allowed": True, "reason": "line 1"}
        _, answer = await ask(session, url, place.tls(), review("bob"))
        assert answer["status"]["allowed"] is False
        assert "denied" not in answer["status"]


async def test_says_no_for_good_when_told_to(session: aiohttp.ClientSession, place: Place) -> None:
    async with serving(place.options(denies=True), print) as url:
        _, answer = await ask(session, url, place.tls(), review("bob"))
    assert answer["status"]["denied"] is True


async def test_only_known_clients(session: aiohttp.ClientSession, place: Place) -> None:
    async with serving(place.options(client_ca=place.ca), print) as url:
        code, _ = await ask(session, url, place.tls(), review("alice"))
        assert code == 200
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await ask(session, url, place.tls(as_client=False), review("alice"))


@pytest.mark.parametrize("body", [{}, {"kind": "Pod"}, {**review("alice"), "spec": {}}, []])
async def test_what_is_no_review(session: aiohttp.ClientSession, place: Place, body: Any) -> None:
    async with serving(place.options(), print) as url:
        assert (await ask(session, url, place.tls(), body))[0] == 400
        # The next one is answered as if nothing had been.
        assert (await ask(session, url, place.tls(), review("alice")))[0] == 200


async def test_follows_changes_and_survives_bad_ones(
    session: aiohttp.ClientSession, place: Place
) -> None:
    said: list[str] = []
    async with serving(place.options(), said.append, look_every=0.01) as url:

        async def allowed(user: str) -> bool:
            _, answer = await ask(session, url, place.tls(), review(user))
            return answer["status"]["allowed"]

        assert not await allowed("bob")
        place.policy.write_text(ALICE + ALICE.replace("alice", "bob"))
        async with asyncio.timeout(20):
            while not await allowed("bob"):
                await asyncio.sleep(0.01)
        place.policy.write_text("{broken\n")
        async with asyncio.timeout(20):
            while len(said) < 2:
                await asyncio.sleep(0.01)
        assert await allowed("bob")
    assert "read again" in said[0]
    assert "left as it was" in said[1]


async def test_a_folder_of_rbac(
    session: aiohttp.ClientSession, place: Place, tmp_path: Path
) -> None:
    folder = tmp_path / "rbac"
    folder.mkdir()
    group = "rbac.authorization.k8s.io"
    objects: list[dict[str, Any]] = [
        {
            "kind": "ClusterRole",
            "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}],
        },
        {
            "kind": "ClusterRoleBinding",
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "x"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": "carol"}],
        },
    ]
    for number, each in enumerate(objects):
        manifest = {"apiVersion": f"{group}/v1", "metadata": {"name": "x"}, **each}
        (folder / f"{number}.yaml").write_bytes(msgspec.yaml.encode(manifest))
    place.policy = folder
    async with serving(place.options(), print) as url:
        _, answer = await ask(session, url, place.tls(), review("carol"))
        assert answer["status"]["allowed"] is True


async def test_bad_certificates_are_told(place: Place) -> None:
    os.truncate(place.server[1], 0)
    with pytest.raises(UsageError, match="cannot serve with these certificates"):
        async with serving(place.options(), print):
            pass


async def test_a_real_server_asks_it(newest: Sandbox, place: Place, tmp_path: Path) -> None:
    async with serving(place.options(client_ca=place.ca), print) as url:
        certificate, key = place.client
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {"name": "w", "cluster": {"server": url, "certificate-authority": str(place.ca)}}
            ],
            "users": [
                {
                    "name": "u",
                    "user": {"client-certificate": str(certificate), "client-key": str(key)},
                }
            ],
            "contexts": [{"name": "c", "context": {"cluster": "w", "user": "u"}}],
            "current-context": "c",
        }
        kubeconfig = tmp_path / "webhook.kubeconfig"
        kubeconfig.write_bytes(msgspec.json.encode(content))
        flags = [
            "--authorization-mode=Webhook",
            f"--authorization-webhook-config-file={kubeconfig}",
            "--authorization-webhook-version=v1",
        ]
        async with AsyncExitStack() as stack:
            running = further_server(newest, tmp_path / "server", flags)
            server = await asyncio.to_thread(stack.enter_context, running)
            connection = await stack.enter_async_context(connected(server.kubeconfig))
            spec = review("alice")["spec"]
            status = await asked(connection, spec)
            assert (status.allowed, status.reason) == (True, "line 1")
            assert not (await asked(connection, {**spec, "user": "bob"})).allowed
