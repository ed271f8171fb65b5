"""Every output format of the certificates' table, the metric, and what --fail-on means."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shipkeeper.access.certs.report import Listed, Row, certificates_report, expiry_metric
from shipkeeper.access.certs.survey import Kind
from shipkeeper.engine.finding import Unchecked
from shipkeeper.engine.report import Format, render
from shipkeeper.sandbox.sandbox import Sandbox
from tests.access.certs.authority import authority, leaf
from tests.access.certs.servers import Server, servers
from tests.cli.golden import assert_golden
from tests.cli.user import User

NOW = datetime(2026, 11, 26, tzinfo=UTC)
LISTED = Listed(
    items=(
        Row(
            kind=Kind.FILE,
            target="cp1:/etc/kubernetes/pki/apiserver.crt",
            purpose="API server",
            subject="CN=kube-apiserver",
            issuer="CN=kubernetes",
            serial="2a",
            not_before=NOW - timedelta(days=366),
            not_after=NOW - timedelta(days=1),
            names=("kubernetes.default.svc", "10.96.0.1"),
            key="RSA 2048",
            signature="SHA256",
            usages=("server",),
            sha256="ab" * 32,
        ),
        Row(
            kind=Kind.PORT,
            target='kubelet "w1":10250',
            purpose="kubelet",
            subject="CN=w1@1790000000",
            issuer="CN=w1-ca@1790000000",
            serial="7",
            not_before=NOW - timedelta(days=10),
            not_after=NOW + timedelta(days=355),
            names=("w1",),
            key="RSA 2048",
            signature="SHA256",
            usages=("server",),
            tls_versions=("TLSv1.2", "TLSv1.3"),
            sha256="cd" * 32,
        ),
        Row(
            kind=Kind.BUNDLE,
            target="this kubeconfig (authority)",
            purpose="authority of the API server",
            subject="CN=kubernetes",
            issuer="CN=kubernetes",
            serial="1",
            not_before=NOW - timedelta(days=10),
            not_after=NOW + timedelta(days=3640),
            key="ECDSA 256",
            signature="SHA256",
            is_authority=True,
            sha256="ef" * 32,
        ),
    ),
    unchecked=(Unchecked(what="etcd cp2:2379", why="10.0.0.2:2379: connection refused"),),
)


@pytest.mark.parametrize("format_", list(Format))
def test_the_table(format_: Format) -> None:
    report = certificates_report(LISTED, NOW)
    assert_golden(f"certs-list.{format_}", render(report, format_))


def test_the_metric() -> None:
    assert_golden("certs.prom", expiry_metric(LISTED.items))


@pytest.mark.parametrize(
    ("fail_on", "code"), [("15d", 0), ("30d", 4), ("high", 0), ("medium", 4), ("never", 0)]
)
async def test_what_ends_within_the_time_makes_exit_code_4(
    newest: Sandbox, tmp_path: Path, fail_on: str, code: int
) -> None:
    root = authority("root")
    with servers() as running:
        port = running.start(Server(pair=leaf(root, ends=timedelta(days=20))))
        user = User(newest, tmp_path)
        endpoint = ("--endpoint", f"127.0.0.1:{port}")
        file = tmp_path / "certs.prom"
        done = await user.run(
            *("certs", "check", "--fail-on", fail_on, *endpoint),
            *("--metrics-file", str(file), "-o", "json"),
        )
    assert done.returncode == code, done.stderr
    rules = [each["rule"] for each in json.loads(done.stdout)["findings"]]
    assert rules == (["ExpiresSoon"] if fail_on != "15d" else [])
    assert f'target="endpoint 127.0.0.1:{port}"' in file.read_text()
    assert user.writes() == []


@pytest.mark.parametrize("words", [("--fail-on", "soon"), ("--endpoint", "nowhere")])
async def test_what_makes_no_sense_is_a_usage_error(
    newest: Sandbox, tmp_path: Path, words: tuple[str, str]
) -> None:
    done = await User(newest, tmp_path).run("certs", "check", *words)
    assert done.returncode == 2
    assert words[1] in done.stderr


async def test_what_may_not_be_read_is_not_checked_and_never_passed(
    newest: Sandbox, tmp_path: Path
) -> None:
    nobody = newest.issue_kubeconfig("nobody-in-particular")
    user = User(newest, tmp_path)
    done = await user.run("certs", "check", "-o", "json", "--kubeconfig", str(nobody))
    assert done.returncode == 3, done.stderr
    assert "could not be looked at: " in done.stderr
    unchecked = [each["what"] for each in json.loads(done.stdout)["unchecked"]]
    for what in ("TLS Secrets", "Ingresses", "CertificateSigningRequests", "APIServices", "nodes"):
        assert what in unchecked, what
