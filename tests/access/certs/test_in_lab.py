"""On a real cluster by kubeadm: what its own check tells is told, and far more is seen."""

import asyncio
import json
import re
import subprocess
from datetime import UTC, datetime
from typing import Any

from shipkeeper.sandbox.lab import Lab
from tests.cli.run import SHIPKEEPER

# `Nov 26, 2027 11:22 UTC` in kubeadm's table.
_LINE = re.compile(r"^(\S+)\s+(\w{3} \d{2}, \d{4} \d{2}:\d{2}) UTC", re.MULTILINE)
_PKI = "/etc/kubernetes/pki"


async def certs(lab: Lab, *words: str) -> Any:
    """What `shipkeeper certs` prints as JSON, from the lab's network."""
    command = lab.inside(
        *(SHIPKEEPER, "certs", *words, "-o", "json", "--kubeconfig", str(lab.kubeconfig)),
        *("--ssh", "--ssh-user", "root", "--ssh-key", str(lab.ssh_key)),
        *("--ssh-known-hosts", str(lab.known_hosts)),
    )
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "PRIVATE KEY" not in done.stdout
    return json.loads(done.stdout)


def path_of(name: str) -> str:
    """Where kubeadm keeps what its table calls by this name."""
    if name.endswith(".conf"):
        return f"/etc/kubernetes/{name}"
    if name.startswith("etcd-"):
        return f"{_PKI}/etcd/{name.removeprefix('etcd-')}.crt"
    return f"{_PKI}/{name}.crt"


async def test_kubeadm_agrees_where_it_looks(lab: Lab) -> None:
    said = lab.run("cp1", "kubeadm", "certs", "check-expiration").stdout
    told = {
        path_of(name): datetime.strptime(when, "%b %d, %Y %H:%M").replace(tzinfo=UTC)
        for name, when in _LINE.findall(said)
    }
    # Ten leaves and three authorities.
    assert len(told) >= 13, said
    listed = await certs(lab, "list")
    seen = {
        each["target"].removeprefix("cp1:"): datetime.fromisoformat(each["notAfter"])
        for each in listed["items"]
        if each["kind"] in ("file", "kubeconfig")
    }
    minutes = {path: when.replace(second=0) for path, when in seen.items() if path in told}
    assert minutes == told
    ports = {each["target"] for each in listed["items"] if each["kind"] == "port"}
    assert {
        *("etcd cp1:2379", "etcd peer cp1:2380", "kube-apiserver cp1:6443"),
        *("kube-controller-manager cp1:10257", "kube-scheduler cp1:10259"),
        *(f"kubelet {name}:10250" for name in ("cp1", "w1", "w2", "w3")),
    } <= ports


async def test_a_new_cluster_is_in_order_until_something_is_renewed_and_not_restarted(
    lab: Lab,
) -> None:
    found = await certs(lab, "check", "--fail-on", "never")
    # Workers joined by a kubeconfig in JSON; of such a file nothing is fetched.
    assert {each["what"] for each in found["unchecked"]} == {
        f"{name}:/etc/kubernetes/discovery.conf" for name in ("w1", "w2", "w3")
    }
    # Kubernetes of this age still takes 3DES; nothing else is wrong.
    serious = [each for each in found["findings"] if each["severity"] != "low"]
    assert [each for each in serious if each["rule"] != "WeakCipher"] == []
    lab.run("cp1", "kubeadm", "certs", "renew", "scheduler.conf")
    found = await certs(lab, "check", "--fail-on", "never")
    stale = [each["target"] for each in found["findings"] if each["rule"] == "StaleClient"]
    assert stale == ["kube-scheduler on cp1"]
