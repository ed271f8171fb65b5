"""What an audit sees of hosts: over a real sshd, and of files that are as they should not be."""

import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from shipkeeper.access.assembly import with_hosts, with_known_chain
from shipkeeper.access.audit import audit
from shipkeeper.access.authorizers import from_modes
from shipkeeper.access.controls.host import HostFile, HostSurvey
from shipkeeper.access.survey import closed_program, survey
from shipkeeper.engine.finding import Answer, Finding, Findings, Passed, Unchecked
from shipkeeper.hosts.ssh import SshHost
from tests.access.ways import policy_with
from tests.hosts.sshd import SshServer

API_SERVER = """apiVersion: v1
kind: Pod
metadata: {name: kube-apiserver, labels: {component: kube-apiserver, tier: control-plane}}
spec:
  containers:
  - command: [kube-apiserver, "--authorization-mode=ABAC,RBAC", --profiling=false,
      --authorization-policy-file=/etc/kubernetes/abac.jsonl,
      --encryption-provider-config=/etc/kubernetes/encryption.yaml]
"""
ENCRYPTION = """kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - PROVIDER: {}
  - identity: {}
    secret: hunter2
"""
FILES = {
    "etc/kubernetes/manifests/kube-apiserver.yaml": (API_SERVER, 0o600),
    "etc/kubernetes/admin.conf": ("secret", 0o640),
    "etc/kubernetes/pki/ca.key": ("hunter2", 0o600),
    "etc/kubernetes/abac.jsonl": ('{"user":"eve","resource":"users"}\n', 0o600),
    "var/lib/kubelet/config.yaml": ("authentication: {anonymous: {enabled: true}}\n", 0o644),
}

MIGHTY: dict[str, Any] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "mighty"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "mighty"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "eve"}],
}
ROLE: dict[str, Any] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "mighty"},
    "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}],
}


@pytest.fixture
async def server() -> AsyncIterator[SshServer]:
    async with SshServer() as found:
        yield found


def written(root: Path, provider: str) -> Path:
    texts = {
        **FILES,
        "etc/kubernetes/encryption.yaml": (ENCRYPTION.replace("PROVIDER", provider), 0o600),
    }
    for name, (text, mode) in texts.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
    return root


def by_rule(made: Findings) -> dict[str, Answer]:
    given: list[Answer] = [*made.findings, *made.unchecked, *made.passed]
    return {each.rule: each for each in given}


@pytest.mark.parametrize(("provider", "answer"), [("identity", Finding), ("secretbox", Passed)])
async def test_files_on_a_host(server: SshServer, provider: str, answer: type[Answer]) -> None:
    root = written(server.home / "it's root", provider)
    found = await survey(SshHost("127.0.0.1", server.options()), str(root))
    # Keys stay where they are.
    assert "hunter2" not in repr(found)
    policy = with_hosts(policy_with(), found.static_pods(), found.texts)
    assert policy.chain.types == ("ABAC", "RBAC")
    made = by_rule(audit(policy, hosts=(found,)))
    assert isinstance(made["cis-1.1.1"], Passed)
    loose = made["cis-1.1.13"]
    assert isinstance(loose, Finding)
    assert loose.evidence == ("127.0.0.1:/etc/kubernetes/admin.conf has 640",)
    assert isinstance(made["cis-1.1.21"], Passed)
    assert isinstance(made["cis-1.1.7"], Unchecked)
    assert isinstance(made["cis-1.2.15"], Passed)
    assert isinstance(made["cis-1.2.28"], answer)
    assert isinstance(made["cis-3.2.1"], Finding)
    assert isinstance(made["cis-4.2.1"], Finding)
    way = made["path-17"]
    assert isinstance(way, Finding)
    assert way.target == "user/eve"


def test_a_host_that_is_not_seen_whole_is_a_gap() -> None:
    seen = HostSurvey(host="a")
    away, closed = HostSurvey(host="b", unreached="no answer"), HostSurvey(host="c", unseen=CLOSED)
    made = audit(policy_with(), hosts=(seen, away, closed))
    assert [each.what for each in made.gaps] == ["What host b tells", "What host c tells"]
    assert not audit(policy_with(), hosts=(seen,)).gaps


@pytest.mark.parametrize("file", ["authorization-config", "authorization-policy-file"])
def test_a_file_of_authorizers_that_is_not_at_hand_is_a_gap(file: str) -> None:
    modes = () if file == "authorization-config" else ("--authorization-mode=RBAC,ABAC",)
    command = ("kube-apiserver", *modes, f"--{file}=/etc/a.yaml")
    host = HostSurvey(host="h", commands={"kube-apiserver": command}, unseen=("/etc/a.yaml",))
    policy = with_hosts(policy_with(ROLE, MIGHTY), host.static_pods(), host.texts)
    made = audit(policy, hosts=(host,))
    gaps = {each.rule for each in made.gaps}
    assert gaps == {"unread-host", "unread-abac" if modes else "unread-authorizers"}
    # What the others allow is found all the same.
    assert "path-17" not in by_rule(made)
    assert "user/eve" in {each.target for each in made.findings}


def test_a_chain_that_is_known_is_not_guessed_for_one_file_that_is_not() -> None:
    command = ("kube-apiserver", "--authorization-config=/etc/a.yaml")
    host = HostSurvey(host="h", commands={"kube-apiserver": command})
    known = with_known_chain(policy_with(), from_modes(["RBAC"]))
    assert with_hosts(known, host.static_pods(), host.texts).chain == known.chain


def test_no_host_is_no_pass() -> None:
    made = by_rule(audit(policy_with(), hosts=(HostSurvey(host="empty"),)))
    on_hosts = [each for rule, each in made.items() if rule.startswith(("cis-1.1", "cis-4."))]
    assert on_hosts
    assert all(isinstance(each, Unchecked) for each in on_hosts)


CLOSED = ("/etc/kubernetes/pki", "/var/lib/kubelet", "/etc/systemd/system/kubelet.service.d")


@pytest.mark.parametrize(
    ("pattern", "is_hidden"),
    [
        ("/etc/kubernetes/pki/*.key", True),
        ("/etc/kubernetes/pki*", True),
        ("*/kubelet.service.d/*.conf", True),
        ("/etc/kubernetes/manifests/etcd.yaml", False),
        ("/var/lib/etcd", False),
    ],
)
def test_what_a_closed_folder_hides(pattern: str, is_hidden: bool) -> None:
    assert bool(HostSurvey(host="b", unseen=CLOSED).hides(pattern)) is is_hidden


def test_what_may_not_be_seen_is_no_pass() -> None:
    seen = HostFile(path="/etc/kubernetes/pki/ca.key", mode=0o600, owner="root", group="root")
    config = {"/var/lib/kubelet/config.yaml": "readOnlyPort: 0\n"}
    open_ = HostSurvey(host="a", files=(seen,), texts=config)
    closed = HostSurvey(host="b", unseen=CLOSED)
    alone = by_rule(audit(policy_with(), hosts=(open_,)))
    both = by_rule(audit(policy_with(), hosts=(open_, closed)))
    for rule in ("cis-1.1.21", "cis-4.2.4"):
        assert isinstance(alone[rule], Passed)
        unchecked = both[rule]
        assert isinstance(unchecked, Unchecked)
        assert "may not be read" in unchecked.why


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that anybody may look into; pytest's own are their user's alone."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_what_is_closed_is_found(open_folder: Path) -> None:
    root = written(open_folder / "root", "identity")
    closed = ("etc/kubernetes/pki", "etc/kubernetes/manifests/kube-apiserver.yaml")
    for name in closed:
        (root / name).chmod(0)
    command = ["sh", "-c", closed_program(str(root))]
    # Root sees everything, so it looks as somebody else.
    nobody = 65534 if os.getuid() == 0 else None
    done = subprocess.run(command, capture_output=True, text=True, check=True, user=nobody)
    assert done.stdout.splitlines() == [str(root / name) for name in closed]
