"""Plain kubectl against real API servers of both ends, users of a real directory."""

import asyncio
import os
import select
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipkeeper.login import emit
from shipkeeper.login.gateway import REVIEW
from shipkeeper.sandbox.sandbox import Sandbox
from tests.access.servers import further_server
from tests.access.world import connected
from tests.login.slapd import PASSWORD, Slapd, foundation, person, team, user_dn
from tests.login.world import configured, served

BIN = Path(sys.executable).parent
# What the gateway and the API server remember, in seconds; together the time until one is out.
REMEMBERED = 1
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}
GROUP = "rbac.authorization.k8s.io"
VIEW = {
    "apiVersion": f"{GROUP}/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "crew"},
    "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": "view"},
    "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": "ldap:crew"}],
}


class Place:
    """An API server with every way to log in switched on, and a user's kubectl."""

    def __init__(self, folder: Path, slapd: Slapd, gateway: str, server: str, ca: bytes) -> None:
        self.folder = folder
        self.slapd = slapd
        self.server = server
        self._ca = ca
        self.made = _emitted(folder, gateway)

    def kubeconfig(self, user: str, *, old: bool = False) -> Path:
        """As --emit=kubeconfig prints it, with what a test has instead of a terminal."""
        made = msgspec.structs.replace(self.made, is_for_old_clients=old)
        authority = self.folder / "cluster-ca.crt"
        authority.write_bytes(self._ca)
        place = {"server": self.server, "certificate-authority": str(authority)}
        found = msgspec.yaml.decode(emit.kubeconfig(made, "sandbox", place))
        password = self.folder / "password"
        password.touch(mode=0o600)
        password.write_text(PASSWORD)
        found["users"][0]["user"]["exec"]["args"] += [
            f"--user={user}",
            f"--password-file={password}",
        ]
        path = self.folder / f"{user}.kubeconfig"
        path.write_bytes(msgspec.yaml.encode(found))
        return path

    async def kubectl(self, kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            subprocess.run,
            [BIN / "kubectl", f"--kubeconfig={kubeconfig}", *arguments],
            env={
                "PATH": f"{BIN}:{os.environ['PATH']}",
                "HOME": str(self.folder),
                "XDG_CACHE_HOME": str(self.folder / "cache"),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def last_user(self, resource: str) -> dict[str, Any]:
        """Who asked for a resource last, as the API server's audit log has it."""
        lines = (self.folder / "api-audit.log").read_bytes().splitlines()
        events = [msgspec.json.decode(line) for line in lines]
        return [e for e in events if e.get("objectRef", {}).get("resource") == resource][-1]["user"]


def _emitted(folder: Path, url: str) -> emit.Emitted:
    return emit.Emitted(
        url=url,
        review_path=REVIEW,
        authority=(folder / "gateway-ca.crt").read_text(),
        port=8443,
        image="",
        namespace="kube-system",
        cache="1s",
        client_ca=True,
    )


@pytest.fixture(scope="module")
async def place(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    tmp_path = tmp_path_factory.mktemp("place")
    tls = {"certificate": "gateway.crt", "key": "gateway.key", "clientCA": "gateway-ca.crt"}
    changes: dict[str, Any] = {"tls": tls, "cache": f"{REMEMBERED}s"}
    async with AsyncExitStack() as stack:
        slapd = Slapd(tmp_path / "slapd")
        stack.callback(slapd.kill)
        slapd.fill(
            [*foundation(), *map(person, ("ann", "bob", "cid")), team("crew", user_dn("ann"))]
        )
        settings = configured(tmp_path, [slapd.start().ldaps], slapd.home / "ca.crt", **changes)
        client = await stack.enter_async_context(served(settings))
        running = further_server(sandbox, tmp_path / "server", _flags(tmp_path, client.url))
        server = await asyncio.to_thread(stack.enter_context, running)
        connection = await stack.enter_async_context(connected(server.kubeconfig))
        await connection.send(
            "PATCH",
            f"/apis/{GROUP}/v1/clusterrolebindings/crew",
            query={"fieldManager": "test"},
            body=VIEW,
            content_type="application/apply-patch+yaml",
        )
        url = f"https://127.0.0.1:{server.port}"
        yield Place(tmp_path, slapd, client.url, url, sandbox.ca.read_bytes())


def _flags(folder: Path, gateway: str) -> list[str]:
    config: Any = msgspec.yaml.decode(emit.webhook_config(_emitted(folder, gateway)))
    config["users"][0]["user"] = {
        "client-certificate": str(folder / "client.crt"),
        "client-key": str(folder / "client.key"),
    }
    webhook = folder / "webhook.yaml"
    webhook.write_bytes(msgspec.yaml.encode(config))
    (folder / "tokens.csv").write_text("0123456789abcdef0123456789abcdef,fil,u-1,crew-of-files\n")
    (folder / "policy.yaml").write_bytes(msgspec.yaml.encode(POLICY))
    return [
        "--authorization-mode=Node,RBAC",
        f"--authentication-token-webhook-config-file={webhook}",
        "--authentication-token-webhook-version=v1",
        f"--authentication-token-webhook-cache-ttl={REMEMBERED}s",
        f"--token-auth-file={folder / 'tokens.csv'}",
        f"--audit-policy-file={folder / 'policy.yaml'}",
        f"--audit-log-path={folder / 'api-audit.log'}",
        "--audit-log-mode=blocking",
    ]


async def test_a_directorys_user_logs_in_with_plain_kubectl(place: Place) -> None:
    ann, bob = place.kubeconfig("ann"), place.kubeconfig("bob")
    done = await place.kubectl(ann, "get", "pods", "-n", "default")
    assert done.returncode == 0, done.stderr
    user = place.last_user("pods")
    assert user["username"] == "ldap:ann"
    assert set(user["groups"]) == {"ldap:crew", "system:authenticated"}
    # Known, and without rights: that is another answer than to somebody unknown.
    done = await place.kubectl(bob, "get", "pods", "-n", "default")
    assert 'User "ldap:bob" cannot list' in done.stderr
    # The old protocol of credential plugins, which some clients still speak.
    done = await place.kubectl(place.kubeconfig("ann", old=True), "get", "configmaps")
    assert done.returncode == 0, done.stderr
    # One login each: the password went over the wire once.
    logins = [each["user"] for each in _decisions(place) if each["event"] == "login"]
    assert [user for user in logins if user != "ldap:cid"] == ["ldap:ann", "ldap:bob"]

    lock = "changetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n"
    place.slapd.change(f"dn: {user_dn('ann')}\n{lock}")
    async with asyncio.timeout(60):
        while (await place.kubectl(ann, "get", "pods")).returncode == 0:
            pass
    done = await place.kubectl(ann, "get", "pods")
    assert "Unauthorized" in done.stderr or "must be logged in" in done.stderr


async def test_whoever_is_nobody_stays_outside(place: Place) -> None:
    done = await place.kubectl(place.kubeconfig("eve"), "get", "pods")
    assert done.returncode != 0
    assert "login refused" in done.stderr
    assert PASSWORD not in done.stderr


async def test_a_terminal_is_asked_for_the_password(place: Place) -> None:
    found = msgspec.yaml.decode(place.kubeconfig("cid").read_bytes())
    words: list[str] = found["users"][0]["user"]["exec"]["args"]
    words = [word for word in words if not word.startswith("--password-file")]
    environment = {**os.environ, "XDG_CACHE_HOME": str(place.folder / "other")}
    said = await asyncio.to_thread(
        _on_a_terminal, [str(BIN / "shipkeeper"), *words], environment, PASSWORD
    )
    assert "Password of cid for https://" in said
    assert '"kind":"ExecCredential"' in said
    assert PASSWORD not in said


def _on_a_terminal(command: list[str], environment: dict[str, str], answer: str) -> str:
    """What a command shows on a terminal where its question is answered."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *command],
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    try:
        while b": " not in said:
            said += os.read(ours, 4096)
        os.write(ours, f"{answer}\n".encode())
        while process.poll() is None or select.select([ours], [], [], 0)[0]:
            said += os.read(ours, 4096)
    except OSError:
        pass  # Linux says so where a terminal has been left by everybody.
    finally:
        process.wait()
        os.close(ours)
    return said.decode()


def _decisions(place: Place) -> list[dict[str, Any]]:
    lines = (place.folder / "audit.log").read_bytes().splitlines()
    return [msgspec.json.decode(line) for line in lines]
