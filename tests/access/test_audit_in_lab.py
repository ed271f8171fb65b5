"""The benchmark's file and flag checks over SSH, on a real cluster by kubeadm.

What is on disk is asked for by other means: find's own tests of modes and owners, the command lines
of running processes, and what each kubelet says of itself at /configz.
"""

import json
import shlex
import subprocess
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipkeeper.sandbox.lab import Lab
from tests.cli.run import SHIPKEEPER

ROOT = ("--ssh-user", "root")
WITH_SUDO = ("--ssh-user", Lab.user, "--sudo")
WITHOUT_SUDO = ("--ssh-user", Lab.user)

_ETC = "/etc/kubernetes"
_UNITS = " ".join(
    f"{root}/systemd/system/kubelet.service.d/*.conf" for root in ("/etc", "/usr/lib", "/lib")
)
# The control of the mode and that of the owner, shell patterns, and the bits that may not be set.
FILES = (
    ("1.1.1", "1.1.2", f"{_ETC}/manifests/kube-apiserver.yaml", "177"),
    ("1.1.3", "1.1.4", f"{_ETC}/manifests/kube-controller-manager.yaml", "177"),
    ("1.1.5", "1.1.6", f"{_ETC}/manifests/kube-scheduler.yaml", "177"),
    ("1.1.7", "1.1.8", f"{_ETC}/manifests/etcd.yaml", "177"),
    ("1.1.9", "1.1.10", "/etc/cni/net.d/*", "177"),
    ("1.1.11", "1.1.12", "/var/lib/etcd", "077"),
    ("1.1.13", "1.1.14", f"{_ETC}/admin.conf", "177"),
    ("1.1.15", "1.1.16", f"{_ETC}/scheduler.conf", "177"),
    ("1.1.17", "1.1.18", f"{_ETC}/controller-manager.conf", "177"),
    ("", "1.1.19", f"$(find {_ETC}/pki)", ""),
    ("1.1.20", "", f"$(find {_ETC}/pki -name '*.crt')", "133"),
    ("1.1.21", "", f"$(find {_ETC}/pki -name '*.key')", "177"),
    ("4.1.1", "4.1.2", _UNITS, "177"),
    ("4.1.5", "4.1.6", f"{_ETC}/kubelet.conf", "177"),
    ("4.1.7", "4.1.8", f"{_ETC}/pki/ca.crt", "133"),
    ("4.1.9", "4.1.10", "/var/lib/kubelet/config.yaml", "177"),
)
# A control passes if, and only if, its process has the word on its command line.
FLAGS = (
    ("1.2.1", "kube-apiserver", "--anonymous-auth=false"),
    ("1.2.14", "kube-apiserver", "--enable-admission-plugins=NodeRestriction"),
    ("1.2.15", "kube-apiserver", "--profiling=false"),
    ("1.2.16", "kube-apiserver", "--audit-log-path"),
    ("1.2.27", "kube-apiserver", "--encryption-provider-config"),
    ("1.3.2", "kube-controller-manager", "--profiling=false"),
    ("1.3.3", "kube-controller-manager", "--use-service-account-credentials=true"),
    ("1.3.7", "kube-controller-manager", "--bind-address=127.0.0.1"),
    ("1.4.1", "kube-scheduler", "--profiling=false"),
    ("1.4.2", "kube-scheduler", "--bind-address=127.0.0.1"),
    ("2.2", "etcd", "--client-cert-auth=true"),
    ("2.5", "etcd", "--peer-client-cert-auth=true"),
)
# Of a kubelet's own words, what would be wrong.
KUBELETS: dict[str, Callable[[Any], bool]] = {
    "4.2.1": lambda config: config["authentication"]["anonymous"]["enabled"],
    "4.2.2": lambda config: config["authorization"]["mode"] == "AlwaysAllow",
    "4.2.3": lambda config: not config["authentication"]["x509"].get("clientCAFile"),
    "4.2.4": lambda config: config.get("readOnlyPort", 0) != 0,
    "4.2.6": lambda config: not config["makeIPTablesUtilChains"],
    "4.2.8": lambda config: config["eventRecordQPS"] == 0,
    "4.2.10": lambda config: not config["rotateCertificates"],
    "4.2.13": lambda config: config["podPidsLimit"] <= 0,
}


class Audit:
    """What an audit told: evidence by failed rule, rules that passed, and those not evaluated."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.failed = {
            each["rule"].removeprefix("cis-"): set(each.get("evidence", ()))
            for each in told["findings"]
        }
        self.passed = {each["rule"].removeprefix("cis-") for each in told["passed"]}
        self.unchecked = {
            each.get("rule", each["what"]).removeprefix("cis-") for each in told["unchecked"]
        }

    def is_passed(self, rule: str) -> bool:
        """Whether it passed; it must have been evaluated."""
        assert (rule in self.passed) is not (rule in self.failed), rule
        return rule in self.passed


def audit(lab: Lab, *words: str, kubeconfig: Path | None = None) -> Audit:
    """Run `access audit` from the lab's network on all hosts."""
    hosts = [word for host in lab.hosts for word in ("--host", host.name)]
    command = lab.inside(
        *(SHIPKEEPER, "access", "audit", "-o", "json", "--fail-on", "never", *hosts),
        *("--kubeconfig", str(kubeconfig or lab.kubeconfig), "--ssh-key", str(lab.ssh_key)),
        *("--ssh-known-hosts", str(lab.known_hosts), *words),
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "PRIVATE KEY" not in done.stdout
    return Audit(json.loads(done.stdout))


def shell(lab: Lab, host: str, script: str) -> str:
    return lab.run(host, "bash", "-c", f"shopt -s nullglob; {script}").stdout


def on_disk(lab: Lab, patterns: str, test: str, words: str) -> set[str]:
    """What find finds on any host, in the words of an audit."""
    script = (
        f"set -- {patterns}; test $# = 0 || "
        f"find -L \"$@\" -maxdepth 0 {test} -printf '{words}\\n' 2>/dev/null; true"
    )
    return {
        f"{host.name}:{line}"
        for host in lab.hosts
        for line in shell(lab, host.name, script).splitlines()
    }


def require_agreement(lab: Lab, told: Audit) -> None:
    """What is told is what is there: no fault is missed, none is made up."""
    for mode, owner, patterns, mask in FILES:
        if mode:
            loose = on_disk(lab, patterns, f"-perm /{mask}", "%p has %m")
            assert told.failed.get(mode, set()) == loose, mode
            assert told.is_passed(mode) is (not loose)
        if owner:
            strange = on_disk(lab, patterns, r"\( ! -user root -o ! -group root \)", "%p is %u:%g")
            assert told.failed.get(owner, set()) == {f"{each}'s" for each in strange}, owner
            assert told.is_passed(owner) is (not strange)
    for rule, process, word in FLAGS:
        line = shell(lab, "cp1", f"tr '\\0' '\\n' </proc/$(pgrep -x {process[:15]})/cmdline")
        assert told.is_passed(rule) is any(each.startswith(word) for each in line.split()), rule
    for host in lab.hosts:
        path = f"/api/v1/nodes/{host.name}/proxy/configz"
        config = json.loads(lab.run("cp1", "kubectl", "get", "--raw", path).stdout)["kubeletconfig"]
        for rule, is_wrong in KUBELETS.items():
            faults = told.failed.get(rule, set())
            is_told = any(each.startswith(f"{host.name}: ") for each in faults)
            assert is_told is is_wrong(config), (rule, host.name)


@contextmanager
def changed(lab: Lab, host: str, path: str, how: str) -> Generator[None]:
    """Change a file's mode or owner while the context lasts."""
    mode, owner = shell(lab, host, f"stat -c '%a %u:%g' {path}").split()
    shell(lab, host, f"{how} {path}")
    try:
        yield
    finally:
        shell(lab, host, f"chown {owner} {path}; chmod {mode} {path}")


@contextmanager
def edited(
    lab: Lab, host: str, path: str, expression: str, there: str, back: str
) -> Generator[None]:
    """Edit a file by sed while the context lasts; two commands have it take effect."""
    folder, _, name = path.rpartition("/")
    # The kubelet overlooks names that begin with a dot, and sees the file whole or not at all.
    kept, next_ = f"/root/kept-{name}", f"{folder}/.{name}"
    shell(
        lab,
        host,
        f"set -e; cp -p {path} {kept}; cp -p {path} {next_}; "
        f"sed -i {shlex.quote(expression)} {next_}; mv {next_} {path}; {there}",
    )
    try:
        yield
    finally:
        shell(lab, host, f"set -e; cp -p {kept} {next_}; mv {next_} {path}; rm {kept}; {back}")


def comes(command: str) -> str:
    """A shell command that waits for another to succeed."""
    return f"timeout 120 bash -c 'until {command}; do sleep 0.2; done' >/dev/null 2>&1"


@pytest.fixture(scope="module")
def broken(lab: Lab) -> Iterator[Lab]:
    """The lab with faults of each kind; one fault is mended instead."""
    scheduler = "pgrep -ax kube-scheduler | grep -q"
    kubelet = f"systemctl restart kubelet; {comes('(exec 3<>/dev/tcp/127.0.0.1/10250)')}"
    with ExitStack() as stack:
        for path, how in (
            (f"{_ETC}/scheduler.conf", "chmod 644"),
            (f"{_ETC}/admin.conf", "chown daemon"),
            (f"{_ETC}/pki/ca.key", "chmod 640"),
            (f"{_ETC}/pki/sa.pub", "chgrp daemon"),
            (f"{_ETC}/pki/etcd/ca.crt", "chmod 666"),
            ("/var/lib/etcd", "chmod 755"),
        ):
            stack.enter_context(changed(lab, "cp1", path, how))
        stack.enter_context(changed(lab, "w1", f"{_ETC}/kubelet.conf", "chmod 604"))
        stack.enter_context(
            edited(
                *(lab, "cp1", f"{_ETC}/manifests/kube-scheduler.yaml"),
                r"s/^\( *\)- --bind-address=.*/\1- --bind-address=0.0.0.0\n\1- --profiling=false/",
                comes(f"{scheduler} -e --profiling=false"),
                comes(f"{scheduler} -v -e --profiling=false"),
            )
        )
        stack.enter_context(
            edited(
                *(lab, "w1", "/var/lib/kubelet/config.yaml"),
                "/anonymous:/,/enabled:/s/enabled: false/enabled: true/",
                kubelet,
                kubelet,
            )
        )
        stack.enter_context(
            edited(
                *(lab, "w2", "/var/lib/kubelet/kubeadm-flags.env"),
                r's/ARGS="/ARGS="--read-only-port=10255 /',
                kubelet,
                kubelet,
            )
        )
        yield lab


@pytest.mark.parametrize("login", [ROOT, WITH_SUDO], ids=["root", "sudo"])
def test_what_is_told_is_what_is_there(lab: Lab, login: tuple[str, ...]) -> None:
    require_agreement(lab, audit(lab, *login))


def test_what_is_broken_fails(broken: Lab) -> None:
    told = audit(broken, *ROOT)
    require_agreement(broken, told)
    for rule, evidence in {
        "1.1.11": "cp1:/var/lib/etcd has 755",
        "1.1.14": f"cp1:{_ETC}/admin.conf is daemon:root's",
        "1.1.15": f"cp1:{_ETC}/scheduler.conf has 644",
        "1.1.19": f"cp1:{_ETC}/pki/sa.pub is root:daemon's",
        "1.1.20": f"cp1:{_ETC}/pki/etcd/ca.crt has 666",
        "1.1.21": f"cp1:{_ETC}/pki/ca.key has 640",
        "1.4.2": "--bind-address is 0.0.0.0",
        "4.1.5": f"w1:{_ETC}/kubelet.conf has 604",
        "4.2.1": "w1: anonymous requests are taken",
        "4.2.4": "w2: the read-only port is 10255",
    }.items():
        assert evidence in told.failed[rule], rule
    assert "1.4.1" in told.passed


@pytest.fixture(scope="module")
def stranger(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of somebody who may do no more than everybody."""
    made = "kubectl get serviceaccount stranger -o jsonpath={.secrets[0].name}"
    shell(lab, "cp1", f"kubectl create serviceaccount stranger; {comes(f'{made} | grep .')}")
    token = shell(
        lab, "cp1", f"kubectl get secret $({made}) -o jsonpath={{.data.token}} | base64 -d"
    )
    config = yaml.safe_load(lab.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    path = tmp_path_factory.mktemp("stranger") / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    yield path
    shell(lab, "cp1", "kubectl delete serviceaccount stranger")


@pytest.mark.parametrize(
    ("login", "is_stranger"),
    [(ROOT, True), (WITHOUT_SUDO, False), (WITHOUT_SUDO, True)],
    ids=["stranger-root", "admin-user", "stranger-user"],
)
def test_who_may_see_less_is_told_of_no_more_passes(
    broken: Lab, stranger: Path, login: tuple[str, ...], is_stranger: bool
) -> None:
    everything = audit(broken, *ROOT)
    less = audit(broken, *login, kubeconfig=stranger if is_stranger else None)
    assert less.passed <= everything.passed
    assert (less.unchecked > everything.unchecked) is (is_stranger or login is WITHOUT_SUDO)
    # Whatever it is that he does see is as it is.
    assert all(less.failed[rule] <= everything.failed[rule] for rule in less.failed)
