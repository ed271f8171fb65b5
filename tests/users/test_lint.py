"""Every rule finds its fault, in what a real API server makes of such a file."""

import asyncio
import http.client
import ssl
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.users.bootstrap_tokens import TYPE, lint_bootstrap_tokens
from shipkeeper.users.objects import SecretData
from shipkeeper.users.token_file import lint_token_file, parse_token_file
from tests.access.servers import ServerDidNotStartError, further_server
from tests.access.world import connected
from tests.cli.golden import assert_golden
from tests.cli.run import run_cli

GOOD = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def rules(text: str) -> set[str]:
    found = lint_token_file(parse_token_file(text), "f")
    return {each.rule for each in found} - {"token-static"}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (f"{GOOD},ann\n", "token-columns"),
        (f'{GOOD},an"n,1\n', "token-unreadable"),
        (f'{GOOD},ann,1,"a\n', "token-unreadable"),
        ("# token,user,uid\n", "token-comment"),
        ("# a comment\n", "token-columns"),
        (",ann,1\n", "token-empty"),
        ("secret,ann,1\n", "token-weak"),
        (f"{'a' * 40},ann,1\n", "token-weak"),
        (f" {GOOD},ann,1\n", "token-space"),
        (f"{GOOD}, ann,1\n", "user-space"),
        (f"{GOOD},system:admin,1\n", "user-system"),
        (f"{GOOD},ann,\n", "uid-empty"),
        (f"{GOOD},ann,1,a,b\n", "groups-unquoted"),
        (f'{GOOD},ann,1,"a, b"\n', "group-space"),
        (f"{GOOD},ann,1,system:masters\n", "group-masters"),
        (f"{GOOD},ann,1,system:nodes\n", "group-system"),
        (f"{GOOD},ann,1\n{GOOD},bob,2\n", "token-twice"),
        (f"{GOOD},ann,1\n{OTHER},ann,2\n", "user-twice"),
        (f"{GOOD},ann,1\n{OTHER},bob,1\n", "uid-twice"),
    ],
)
def test_each_fault_is_found_alone(text: str, rule: str) -> None:
    assert rules(text) == {rule}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        f"{GOOD},ann,1\r\n{OTHER},bob,2\r\n",
        f'{GOOD},ann,1,"a,b"\n',
        f'{GOOD},"ann ""the"" admin",1,a\n',
        f"{GOOD},ann,1,a\n\n{OTHER},ann,1,a\n",
    ],
)
def test_what_is_in_order_is_left_alone(text: str) -> None:
    assert not rules(text)


def test_findings_name_the_line_and_no_token() -> None:
    text = f'{GOOD},"ann\nlee",1\n\nsecret,bob,2\n'
    found = list(lint_token_file(parse_token_file(text), "f"))
    assert [each.place for each in found if each.rule == "token-weak"] == ["f:4"]
    assert "secret" not in str([each.message for each in found])


def secret(**values: str) -> SecretData:
    given = {
        "token-id": "abcdef",
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
        "expiration": (NOW + timedelta(hours=20)).isoformat(),
        **{key.replace("_", "-"): value for key, value in values.items()},
    }
    name, space = given.pop("name", "bootstrap-token-abcdef"), given.pop("space", "kube-system")
    data = {key: b64encode(value.encode()).decode() for key, value in given.items() if value}
    raw = {"metadata": {"name": name, "namespace": space}, "type": TYPE, "data": data}
    return msgspec.convert(raw, SecretData)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"expiration": ""}, "bootstrap-endless"),
        ({"expiration": "2025-12-31T00:00:00Z"}, "bootstrap-expired"),
        ({"expiration": "2027-01-01T00:00:00Z"}, "bootstrap-long"),
        ({"expiration": "2026-01-01"}, "bootstrap-expiration"),
        ({"space": "default"}, "bootstrap-namespace"),
        ({"name": "bootstrap-token-other1"}, "bootstrap-id"),
        ({"token_id": "ABC"}, "bootstrap-id"),
        ({"token_secret": "short"}, "bootstrap-secret"),
        ({"auth_extra_groups": "system:masters"}, "bootstrap-group"),
        ({"usage_bootstrap_authentication": "false"}, "bootstrap-useless"),
        ({}, ""),
        ({"auth_extra_groups": "system:bootstrappers:kubeadm:default-node-token"}, ""),
    ],
)
def test_each_fault_of_a_bootstrap_token(values: dict[str, str], rule: str) -> None:
    found = {each.rule for each in lint_bootstrap_tokens([secret(**values)], NOW)}
    assert found == ({rule} if rule else set())


def _code(port: int, ca: Path, token: str) -> int:
    tls = ssl.create_default_context(cafile=ca)
    connection = http.client.HTTPSConnection("127.0.0.1", port, context=tls, timeout=600)
    try:
        connection.request("GET", "/api", headers={"Authorization": f"Bearer {token}"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_real_server_reads_such_files_so(newest: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "tokens.csv"

    def flags() -> list[str]:
        return ["--authorization-mode=AlwaysAllow", f"--token-auth-file={path}"]

    for number, broken in enumerate((f"{GOOD},ann\n", f'{GOOD},an"n,1\n', "# a comment\n")):
        path.write_text(broken)
        assert rules(broken) & {"token-columns", "token-unreadable"}
        with (
            pytest.raises(ServerDidNotStartError),
            further_server(newest, tmp_path / f"broken-{number}", flags()),
        ):
            pass
    path.write_text(f'#token,ann,1\n{GOOD},"bob ""b""",2,"a,b"\n {OTHER},carl,3\n')
    with further_server(newest, tmp_path / "server", flags()) as server:
        assert _code(server.port, newest.ca, "#token") == 200
        assert _code(server.port, newest.ca, GOOD) == 200
        assert _code(server.port, newest.ca, OTHER) == 401


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tokens.csv"
    path.touch(mode=0o600)
    path.write_text(f"{GOOD},ann,1,a,b\n# x,y,z\n")
    return "tokens.csv"


@pytest.mark.parametrize("output", ["text", "wide", "json", "yaml", "name", "sarif", "junit"])
async def test_the_command(newest: Sandbox, file: str, output: str) -> None:
    words = [] if output == "text" else ["-o", output]
    done = await run_cli(newest, "users", "lint", file, *words)
    assert done.returncode == 4, done.stderr
    assert GOOD not in done.stdout
    assert_golden(f"users-lint.{output}", done.stdout)


async def test_bootstrap_tokens_of_a_cluster(newest: Sandbox) -> None:
    async with connected(newest.kubeconfig) as connection:
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": TYPE,
            "metadata": {"name": "bootstrap-token-abcdef"},
            "stringData": {"token-id": "abcdef", "token-secret": "0123456789abcdef"},
        }
        path = "/api/v1/namespaces/kube-system/secrets"
        await connection.send("POST", path, body=body)
        try:
            done = await run_cli(newest, "users", "lint", "--bootstrap-tokens")
        finally:
            await connection.send("DELETE", f"{path}/bootstrap-token-abcdef")
    assert done.returncode == 4, done.stderr
    assert "bootstrap-endless" in done.stdout
    assert "0123456789abcdef" not in done.stdout
    # Who may not read them is told so, and they have not passed.
    weak = await asyncio.to_thread(newest.issue_kubeconfig, "nobody-much")
    done = await run_cli(
        newest, "users", "lint", "--bootstrap-tokens", environment={"KUBECONFIG": str(weak)}
    )
    assert "bootstrap tokens" in done.stdout
    assert "cannot list" in done.stdout
