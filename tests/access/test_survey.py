"""What an audit sees of hosts: over a real sshd, and of files that are as they should not be."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shipkeeper.access.assembly import with_hosts
from shipkeeper.access.audit import audit
from shipkeeper.access.controls.host import HostSurvey
from shipkeeper.access.finding import Outcome
from shipkeeper.access.survey import survey
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


@pytest.mark.parametrize(("provider", "outcome"), [("identity", "fail"), ("secretbox", "pass")])
async def test_files_on_a_host(server: SshServer, provider: str, outcome: str) -> None:
    root = written(server.home / "it's root", provider)
    found = await survey(SshHost("127.0.0.1", server.options()), str(root))
    # Keys stay where they are.
    assert "hunter2" not in repr(found)
    policy = with_hosts(policy_with(), found.static_pods(), found.texts)
    assert policy.chain.types == ("ABAC", "RBAC")
    made = {each.id: each for each in audit(policy, hosts=(found,)).findings}
    assert made["cis-1.1.1"].outcome is Outcome.PASS
    assert made["cis-1.1.13"].outcome is Outcome.FAIL
    assert "admin.conf has 640" in made["cis-1.1.13"].message
    assert made["cis-1.1.21"].outcome is Outcome.PASS
    assert made["cis-1.1.7"].outcome is Outcome.NOT_EVALUATED
    assert made["cis-1.2.15"].outcome is Outcome.PASS
    assert made["cis-1.2.28"].outcome == outcome
    assert made["cis-3.2.1"].outcome is Outcome.FAIL
    assert made["cis-4.2.1"].outcome is Outcome.FAIL
    assert made["path-17"].target == "user/eve"


def test_no_host_is_no_pass() -> None:
    made = audit(policy_with(), hosts=(HostSurvey(host="empty"),))
    on_hosts = [each for each in made.findings if each.id.startswith(("cis-1.1", "cis-4."))]
    assert on_hosts
    assert {each.outcome for each in on_hosts} == {Outcome.NOT_EVALUATED}
