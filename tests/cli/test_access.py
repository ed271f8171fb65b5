"""`shipkeeper access` as its users meet it, over a folder of manifests."""

import gzip
import io
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from shipkeeper.access.abac import parse_abac
from shipkeeper.access.assembly import from_manifests
from shipkeeper.access.attributes import Attributes, authenticated
from shipkeeper.access.audit import audit
from shipkeeper.access.authorizers import from_modes
from shipkeeper.access.chain import Chain
from shipkeeper.access.controls.host import HostFile, HostSurvey
from shipkeeper.access.convert import convert
from shipkeeper.access.difference import compare
from shipkeeper.access.escalation.findings import escalation_findings
from shipkeeper.access.explain import explain
from shipkeeper.access.heat import heat_page, heat_text
from shipkeeper.access.matrix import matrix
from shipkeeper.access.policy import Policy
from shipkeeper.access.report import (
    difference_report,
    explanation_report,
    holders_report,
    matrix_report,
    yes_no,
)
from shipkeeper.access.suggest import Needs
from shipkeeper.access.who_can import who_can
from shipkeeper.access.words import question, resource_name
from shipkeeper.cli.access_tighten import conversion_report, suggestions_report
from shipkeeper.cli.main import main
from shipkeeper.engine.exchange import junit, sarif
from shipkeeper.engine.finding import Findings
from shipkeeper.engine.findings_page import findings_page
from shipkeeper.engine.findings_report import findings_report
from shipkeeper.engine.report import Format, Report, render
from tests.access.ways import bound, landscape, policy_with, rule
from tests.cli.golden import assert_golden

READS = bound("reader", "ways", (rule("get list", "secrets"), rule("get", "pods", names="web")))
WRITES = bound("writer", "", (rule("create patch", "deployments", "apps"),))
POLICY = policy_with(*READS, *WRITES)
CHAIN = Chain(POLICY)
NO = question("delete", "secrets", "", "ways").of(authenticated("way-reader"))
YES = question("list", "secrets", "", "ways").of(authenticated("way-reader"))
API_SERVER = """apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver}
spec:
  containers:
  - command: [kube-apiserver, --authorization-mode=ABAC, --authorization-policy-file=/etc/abac]
"""
LINES = """{"user":"ann","namespace":"shop","resource":"pods","readonly":true}
{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"ben","namespace":"","resource":"secrets","apiGroup":"","readonly":true}}
{"group":"ops","nonResourcePath":"/metrics","readonly":true,"namespace":"shop","resource":"jobs"}
"""


def by_lines() -> Policy:
    return msgspec.structs.replace(POLICY, chain=from_modes(("ABAC", "RBAC"), abac=LINES))


def asking_first() -> Policy:
    return msgspec.structs.replace(POLICY, chain=from_modes(("Webhook", "RBAC")))


def needed() -> Needs:
    """Two reads, a role written, and a request in another's name."""
    needs = Needs()
    user = authenticated("way-reader")
    rbac = "rbac.authorization.k8s.io"
    for verb, group, resource in (
        ("list", "", "secrets"),
        ("watch", "", "pods"),
        ("create", rbac, "roles"),
    ):
        needs.add(
            Attributes(verb=verb, group=group, resource=resource, namespace="ways", user=user)
        )
    needs.add(Attributes(verb="impersonate", resource="users", name="ann", user=user))
    needs.add(Attributes(verb="get", path="/metrics", resource_request=False, user=user))
    return needs


FINDINGS = Findings.of("access audit of test", escalation_findings(CHAIN))
REPORTS: dict[str, Report] = {
    "access-who-can": holders_report(who_can(CHAIN, question("get", "secrets"), everywhere=True)),
    "access-explain-no": explanation_report(explain(CHAIN, NO)),
    "access-explain-yes": explanation_report(explain(CHAIN, YES)),
    "access-matrix": matrix_report(
        matrix(CHAIN, [resource_name(each) for each in ("secrets", "deploy")], namespace="ways")
    ),
    "access-diff": difference_report(compare(policy_with(*READS), POLICY)),
    "access-audit": findings_report(FINDINGS),
    "access-can-i": yes_no(explain(CHAIN, YES)),
    "access-can-i-no": yes_no(explain(CHAIN, NO)),
    "access-can-i-unknown": yes_no(explain(Chain(asking_first()), YES)),
    "access-who-can-by-lines": holders_report(
        who_can(Chain(by_lines()), question("list", "secrets"), everywhere=True)
    ),
    "access-suggest": suggestions_report([needed().suggest("way-reader", CHAIN)]),
    "access-convert": conversion_report(convert(parse_abac(LINES))),
}


@pytest.mark.parametrize("format_", list(Format))
@pytest.mark.parametrize("noun", list(REPORTS))
def test_output(noun: str, format_: Format) -> None:
    assert_golden(f"{noun}.{format_}", render(REPORTS[noun], format_))


# Controls with all three answers, on a host of one file that is too open.
AUDITED = audit(
    POLICY,
    hosts=(
        HostSurvey(
            host="cp-1",
            files=(
                HostFile(path="/etc/kubernetes/admin.conf", mode=0o644, owner="root", group="root"),
            ),
        ),
    ),
)


def test_findings_for_others() -> None:
    assert_golden("access-audit.sarif", sarif(AUDITED, "0"))
    assert_golden("access-audit.junit", junit(AUDITED))
    assert_golden("access-audit.html", findings_page(AUDITED))


MATRIX = matrix(
    Chain(policy_with(*READS, *WRITES, *bound("<b>&\x1b[2J", "ways", (rule("*", "secrets"),)))),
    [resource_name(each) for each in ("secrets", "deploy")],
    namespace="ways",
)


def test_heat_maps() -> None:
    assert_golden("access-matrix.heat", heat_text(MATRIX))
    assert_golden("access-matrix.html", heat_page(MATRIX, "test <i>"))


def test_a_name_is_no_command_of_a_page_or_terminal() -> None:
    assert "<b>" not in heat_page(MATRIX, "<i>")
    assert "<i>" not in heat_page(MATRIX, "<i>")
    assert "\x1b[2J" not in heat_text(MATRIX)
    assert "\x1b" not in render(matrix_report(MATRIX), Format.TEXT)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path / "policy", [*landscape(), *READS])


def written(place: Path, manifests: list[dict[str, Any]]) -> Path:
    place.mkdir()
    for number, manifest in enumerate(manifests):
        (place / f"{number}.yaml").write_bytes(msgspec.yaml.encode(manifest))
    return place


def run(*words: object) -> int:
    return main(["access", *map(str, words)])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("list", "secrets", "-n", "ways", "--as", "way-reader"), 0),
        (("list", "secrets", "-n", "other", "--as", "way-reader"), 1),
        (("list", "secrets", "-A", "--as", "way-reader"), 1),
        (("get", "po", "web", "-n", "ways", "--as", "way-reader"), 0),
        (("get", "po", "db", "-n", "ways", "--as", "way-reader"), 1),
        (("get", "pods", "web", "-n", "ways", "--subresource", "log", "--as", "way-reader"), 1),
        (("delete", "nodes", "--as", "system:serviceaccount:ways:mighty"), 0),
        (("delete", "nodes", "--as", "x", "--as-group", "system:masters"), 0),
        (("get", "/healthz", "--as", "way-reader"), 1),
    ],
)
def test_can_i(folder: Path, words: tuple[str, ...], code: int) -> None:
    assert run("can-i", *words, "--from", folder) == code


@pytest.mark.parametrize(
    ("modes", "namespace"), [("Webhook,RBAC", "ways"), ("RBAC,Webhook", "other")]
)
def test_a_webhook_makes_it_unknown(
    folder: Path, modes: str, namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("list", "secrets", "-n", namespace, "--as", "way-reader")
    assert run("can-i", *words, "--from", folder, "--authorization-mode", modes) == 1
    said = capsys.readouterr()
    assert said.out == "unknown\n"
    # The chain was given, so that nothing is guessed of it.
    assert said.err == "not known: what webhook webhook would say, which was not asked\n"


@pytest.mark.parametrize(
    ("resource", "is_told"),
    [("secretz", True), ("secret", False), ("widgets.example.com", False), ("pods/log", False)],
)
def test_a_resource_that_there_is_not(
    folder: Path, capsys: pytest.CaptureFixture[str], resource: str, *, is_told: bool
) -> None:
    for words in (("can-i", "get", resource, "--as", "x"), ("who-can", "get", resource)):
        run(*words, "--from", folder)
        assert ("is no resource of Kubernetes" in capsys.readouterr().err) is is_told


def test_no_folder_is_not_a_no(tmp_path: Path) -> None:
    assert run("can-i", "get", "pods", "--as", "x", "--from", tmp_path / "none") == 2


@pytest.mark.parametrize("data", [b"", b"hello", b"\0" * 40_000])
@pytest.mark.parametrize("command", ["audit", "can-i", "diff"])
def test_no_snapshot_is_no_finding(
    tmp_path: Path, command: str, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "etcd.db"
    file.write_bytes(data)
    words = {"can-i": ("get", "pods", "--as", "x"), "diff": (tmp_path,)}.get(command, ())
    assert run(command, *words, "--snapshot", file) == 2
    error = capsys.readouterr().err
    assert f"{file} is no snapshot of etcd: " in error
    assert "hint: " in error


def test_no_file_of_abac_is_not_a_no(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tmp_path / "kube-apiserver.yaml"
    manifest.write_text(API_SERVER)
    words = ("can-i", "get", "pods", "--as", "x", "--from", folder)
    assert run(*words, "--api-server-manifest", manifest) == 2
    assert "hint: name a copy of it with --abac-file" in capsys.readouterr().err


def test_abac_from_a_copy_of_the_file(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "abac.jsonl"
    file.write_text('{"user":"ann","namespace":"ways","resource":"pods"}\n')
    words = ("delete", "pods", "-n", "ways", "--as", "ann", "--from", folder)
    chain = ("--authorization-mode", "ABAC,RBAC")
    assert run("can-i", *words, *chain, "--abac-file", file) == 0
    file.write_text("broken\n")
    assert run("can-i", *words, *chain, "--abac-file", file) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--authorization-mode", "Magic"), "not a valid mode"),
        (("--authorization-mode", "RBAC,RBAC"), "more than once"),
        (("--authorization-mode", "ABAC"), "needs --authorization-policy-file"),
        (("--authorization-config", "/nowhere"), "cannot read /nowhere"),
        (("--backup", "latest"), "at once"),
    ],
)
def test_what_no_server_starts_with(
    folder: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("can-i", "get", "pods", "--as", "x", "--from", folder, *words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "hint: " in error


@pytest.mark.parametrize(
    "text",
    ["a: [", "", "[]", "spec: 1", "spec: {containers: [{command: [1]}]}", "[" * 5000],
    ids=["no-yaml", "empty", "list", "no-spec", "no-words", "deep"],
)
@pytest.mark.parametrize("flag", ["--api-server-manifest", "--authorization-config"])
def test_what_is_no_file_of_an_api_server(
    folder: Path, tmp_path: Path, flag: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "kube-apiserver.yaml"
    file.write_text(text)
    assert run("can-i", "get", "pods", "--as", "x", "--from", folder, flag, file) == 2
    error = capsys.readouterr().err
    assert "hint: " in error
    assert flag != "--api-server-manifest" or f"{file} is no manifest of an API server: " in error


def test_nobody_is_asked_about(folder: Path) -> None:
    assert run("can-i", "get", "pods", "--from", folder) == 2


def test_a_broken_file_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "bad.yaml").write_text("a: [")
    assert run("who-can", "get", "pods", "--from", folder) == 2
    assert "bad.yaml" in capsys.readouterr().err


def test_a_role_that_makes_no_sense(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r"}}
    (folder / "bad.yaml").write_bytes(msgspec.yaml.encode({**role, "rules": "all"}))
    for words in (("who-can", "get", "pods"), ("can-i", "get", "pods", "--as", "x")):
        assert run(*words, "--from", folder) == 2
        assert "Role r" in capsys.readouterr().err


ODD_POD = """apiVersion: v1
kind: Pod
metadata: {name: odd, namespace: ways}
spec:
  containers: [{name: c, image: i, env: [{name: n, value: .nan}]}]
  securityContext: ODD
"""


@pytest.mark.parametrize("odd", ["{on: x}", "&a {self: *a}", "{size: 1234567890123456789012}"])
def test_a_pod_as_odd_as_yaml_lets_it_be(folder: Path, odd: str) -> None:
    (folder / "odd.yaml").write_text(ODD_POD.replace("ODD", odd))
    assert (
        run("can-i", "list", "secrets", "-n", "ways", "--as", "way-reader", "--from", folder) == 0
    )
    assert run("audit", "--from", folder, "--fail-on", "never") == 0


def test_what_pods_share_stays_as_it_is() -> None:
    odd = msgspec.yaml.decode(ODD_POD.replace("ODD", "{1: x}"))
    (pod,) = from_manifests([odd], source="test").pods
    (container,) = pod.spec["containers"]
    assert math.isnan(container["env"][0]["value"])
    assert list(pod.spec["securityContext"]) == [1]


def test_diff(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = written(tmp_path / "new", [*WRITES])
    assert run("diff", folder, "--from", folder) == 0
    assert run("diff", new, "--from", folder, "--applied", "-o", "json") == 4
    (change,) = msgspec.json.decode(capsys.readouterr().out)["changes"]
    assert change["name"] == "way-writer"
    assert change["gained"] == ["create,patch deployments.apps"]
    assert change["lost"] == []
    # Without --applied everybody of the old side loses what they had.
    assert run("diff", new, "--from", folder, "-o", "json") == 4
    assert len(msgspec.json.decode(capsys.readouterr().out)["changes"]) > 1


def test_audit_for_ci(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("audit", "--from", folder, "-o", "junit") == 4
    suite = ElementTree.fromstring(capsys.readouterr().out)
    assert int(suite.get("failures", 0)) > 0
    assert int(suite.get("skipped", 0)) > 0
    assert run("audit", "--from", folder, "-o", "sarif", "--fail-on", "never") == 0
    (log,) = msgspec.json.decode(capsys.readouterr().out)["runs"]
    assert {each["level"] for each in log["results"]} >= {"error", "warning"}
    (invocation,) = log["invocations"]
    assert invocation["toolExecutionNotifications"]
    assert run("audit", "--from", folder, "-o", "html", "--fail-on", "never") == 0
    assert "<h2>Found" in capsys.readouterr().out


def test_a_baseline_accepts_what_is_known(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline = tmp_path / "baseline.yaml"
    assert run("audit", "--from", folder, "--write-baseline", baseline) == 4
    assert run("audit", "--from", folder, "--baseline", baseline, "--fail-on", "low") == 0
    (folder / "new.yaml").write_bytes(
        b"---\n".join(msgspec.yaml.encode(each) for each in bound("late", "", (rule("*", "*"),)))
    )
    capsys.readouterr()
    assert run("audit", "--from", folder, "--baseline", baseline) == 4
    assert "way-late" in capsys.readouterr().out


@pytest.mark.parametrize("words", [("-",), ()])
def test_suggest_reads_what_comes_in(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"resource": "pods", "namespace": "shop", "apiVersion": "v1"}
    line = {"stage": "ResponseComplete", "verb": "list", "user": {"username": "ann"}}
    written = msgspec.json.encode({**line, "objectRef": asked})
    log = io.TextIOWrapper(io.BytesIO(b"no line of a log\n" + written))
    monkeypatch.setattr("sys.stdin", log)
    assert run("suggest", *words, "--offline", "-o", "name") == 3
    assert capsys.readouterr().out == "ann\n"


def test_suggest_takes_no_part_of_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = tmp_path / "audit.log.gz"
    log.write_bytes(gzip.compress(b"{}\n" * 1000)[:-10])
    assert run("suggest", log, "--offline") == 2
    assert f"cannot read {log}" in capsys.readouterr().err


def test_suggest_takes_no_other_file_for_a_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "abac.jsonl"
    file.write_text(LINES)
    assert run("suggest", file, "--offline") == 3
    assert "3 lines of the logs made no sense" in capsys.readouterr().err


def test_suggest_takes_no_option_for_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("suggest", "audit.log", "--ofline") == 2
    assert "Unknown option: --ofline." in capsys.readouterr().err


def test_convert(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "abac.jsonl"
    file.write_text('{"user":"ann","namespace":"n","resource":"services","readonly":true}\n')
    assert run("convert", file) == 0
    out = capsys.readouterr()
    assert "kind: RoleBinding" in out.out
    assert "all answered alike" in out.err
    file.write_text('{"user":"ann","group":"devs","namespace":"n","resource":"pods"}\n')
    assert run("convert", file) == 3
    assert run("convert", tmp_path / "nowhere") == 2
