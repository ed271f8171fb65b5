"""Every way to log in to a real API server."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipkeeper.kube.config import ConnectionOptions, load_credentials
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.errors import ForbiddenError, UnauthorizedError
from shipkeeper.kube.writer import Writer
from tests.kube.login import Files, count, nodes, refused
from tests.kube.marks import ON_NEWEST
from tests.kube.objects import CLUSTER_ROLE_BINDINGS, SERVICE_ACCOUNTS

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
async def token(direct: Connection, namespace: str, files: Files) -> str:
    """A service account's token that may do everything."""
    writer = Writer(direct)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
    await writer.create(SERVICE_ACCOUNTS, account, namespace=namespace)
    subject = {"kind": "ServiceAccount", "name": "robot", "namespace": namespace}
    rbac = "rbac.authorization.k8s.io"
    binding = {
        "apiVersion": f"{rbac}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": namespace},
        "subjects": [subject],
        "roleRef": {"kind": "ClusterRole", "name": "cluster-admin", "apiGroup": rbac},
    }
    await writer.create(CLUSTER_ROLE_BINDINGS, binding)
    request: dict[str, Any] = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {},
    }
    answer = await writer.post_subresource(
        SERVICE_ACCOUNTS, "robot", "token", request, namespace=namespace
    )
    issued = msgspec.json.decode(answer)["status"]["token"]
    await _until_allowed(files.write("token-user", {"token": issued}))
    return issued


async def _until_allowed(kubeconfig: Path) -> None:
    """The authorizer learns of a binding a moment after it was written."""
    async with asyncio.timeout(30):
        while True:
            try:
                await nodes(kubeconfig)
            except ForbiddenError:
                await asyncio.sleep(0.05)
            else:
                return


async def test_a_client_certificate_inside_the_kubeconfig(files: Files) -> None:
    assert await nodes(files.write("inside", files.admin)) == 0


async def test_a_client_certificate_beside_the_kubeconfig(files: Files) -> None:
    certificate, key = files.certificate("beside")
    (files.directory / "me.crt").write_bytes(certificate)
    (files.directory / "me.key").write_bytes(key)
    user = {"client-certificate": "me.crt", "client-key": "me.key"}
    (files.directory / "ca.crt").write_bytes(
        base64.b64decode(files.cluster["certificate-authority-data"])
    )
    cluster = {"server": files.cluster["server"], "certificate-authority": "ca.crt"}
    clusters = [{"name": "main", "cluster": cluster}]
    assert await nodes(files.write("beside", user, clusters=clusters)) == 0


@ON_NEWEST
async def test_a_client_certificate_that_was_renewed_in_its_file(files: Files) -> None:
    paths = files.directory / "me.crt", files.directory / "me.key"

    def issue(not_after: datetime | None = None) -> None:
        for path, content in zip(paths, files.certificate("rotated", not_after), strict=True):
            path.write_bytes(content)

    user = {"client-certificate": str(paths[0]), "client-key": str(paths[1])}
    issue(datetime.now(UTC) - timedelta(minutes=1))
    kubeconfig = files.write("rotated", user)
    async with connect(ConnectionOptions(kubeconfig=str(kubeconfig))) as connection:
        with pytest.raises(UnauthorizedError, match="expired"):
            await count(connection)
        issue()
        assert await count(connection) == 0


async def test_a_token(files: Files, token: str) -> None:
    assert await nodes(files.write("token", {"token": token})) == 0
    with pytest.raises(UnauthorizedError) as caught:
        await nodes(files.write("false", {"token": "false"}))
    assert (
        caught.value.message == "the API server does not accept these credentials (to list nodes)"
    )
    assert "renew the token" in caught.value.hint


@ON_NEWEST
async def test_a_token_in_a_file_is_read_again_when_it_is_refused(files: Files, token: str) -> None:
    path = files.directory / "token"
    path.write_text("not yet\n")
    kubeconfig = files.write("token-file", {"tokenFile": "token"})
    async with connect(ConnectionOptions(kubeconfig=str(kubeconfig))) as connection:
        with pytest.raises(UnauthorizedError):
            await count(connection)
        path.write_text(f"{token}\n")
        assert await count(connection) == 0


def credential(**status: str) -> str:
    """A shell command that prints what a login plugin answers."""
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": status,
    }
    return f"cat <<'END'\n{msgspec.json.encode(answer).decode()}\nEND"


async def test_a_login_plugin(files: Files, token: str) -> None:
    assert await nodes(files.write("plugin", files.plugin(credential(token=token)))) == 0
    assert files.runs == 1


@ON_NEWEST
async def test_a_login_plugin_runs_again_once_when_its_token_is_refused(
    files: Files, token: str
) -> None:
    good, stale = credential(token=token), credential(token="stale")
    script = f"if [ $(wc -l < {files.directory}/runs) = 1 ]; then\n{stale}\nelse\n{good}\nfi"
    kubeconfig = files.write("renewing", files.plugin(script))
    async with connect(ConnectionOptions(kubeconfig=str(kubeconfig))) as connection:
        counts = await asyncio.gather(*(count(connection) for _ in range(20)))
    assert counts == [0] * 20
    assert files.runs == 2


@ON_NEWEST
async def test_a_login_plugin_that_gives_certificates(files: Files) -> None:
    def issued(not_after: datetime | None = None) -> str:
        certificate, key = files.certificate("plugged", not_after)
        return credential(clientCertificateData=certificate.decode(), clientKeyData=key.decode())

    expired = issued(datetime.now(UTC) - timedelta(minutes=1))
    script = f"if [ $(wc -l < {files.directory}/runs) = 1 ]; then\n{expired}\nelse\n{issued()}\nfi"
    assert await nodes(files.write("certificates", files.plugin(script))) == 0
    assert files.runs == 2


@ON_NEWEST
@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'the session has ended' >&2; exit 3", "the session has ended"),
        ("echo hello", "failed to decode process output"),
        ("echo '{}'", "missing key"),
        (credential(), "missing token"),
    ],
    ids=["fails", "no-json", "empty", "no-credential"],
)
async def test_a_login_plugin_that_does_not_work_is_named(
    files: Files, script: str, why: str
) -> None:
    error = await refused(files.write("broken", files.plugin(script)))
    assert error.reason == "LoginFailed"
    assert why in error.message


@ON_NEWEST
async def test_a_login_plugin_that_is_not_there_is_named(files: Files) -> None:
    error = await refused(files.write("absent", files.plugin("", command="no-such-login")))
    assert error.reason == "LoginFailed"
    assert "no-such-login" in error.message


@ON_NEWEST
async def test_acting_as_somebody_else(files: Files) -> None:
    admin = files.write("admin", files.admin)
    with pytest.raises(ForbiddenError, match='User "jane"'):
        await nodes(admin, impersonate_user="jane")
    groups = ("staff", "system:masters")
    assert await nodes(admin, impersonate_user="jane", impersonate_groups=groups) == 0

    as_joe = files.write("joe", files.admin | {"as": "joe", "as-groups": ["staff"]})
    with pytest.raises(ForbiddenError, match='User "joe"'):
        await nodes(as_joe)
    with pytest.raises(ForbiddenError, match='User "jane"'):
        await nodes(as_joe, impersonate_user="jane")


@ON_NEWEST
async def test_credentials_change_their_fingerprint_only_with_the_secret(files: Files) -> None:
    path = files.directory / "token"
    path.write_text("one")
    kubeconfig = files.write("token-file", {"tokenFile": "token"})
    credentials = await load_credentials(ConnectionOptions(kubeconfig=str(kubeconfig)))
    first = credentials.fingerprint
    assert await credentials.renew(first) is False
    path.write_text("two")
    assert await credentials.renew(first) is True
    assert "two" not in credentials.fingerprint
