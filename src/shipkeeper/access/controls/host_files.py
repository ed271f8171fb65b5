"""Groups 1.1 and 4.1, and 1.2.28: what the files on hosts tell. Pure."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatch

from shipkeeper.access.authorizers import command_of, flags_of
from shipkeeper.access.controls.audit_policy import audit_policy_findings
from shipkeeper.access.controls.control import Control
from shipkeeper.access.controls.host import (
    ETCD_DATA,
    KUBELET_CLIENT_CA,
    KUBELET_CONFIG,
    KUBELET_KUBECONFIG,
    MANIFESTS,
    USUAL_PLACES,
    HostFile,
    HostSurvey,
    name_of,
)
from shipkeeper.access.controls.kubelets import kubelet_findings
from shipkeeper.engine.finding import Answer, Severity

_HIGH = Severity.HIGH
# Control for the mode, control for the owner (empty: none), pattern, most that the mode may be.
_FILES: tuple[tuple[str, str, str, int], ...] = (
    ("1.1.1", "1.1.2", "/etc/kubernetes/manifests/kube-apiserver.yaml", 0o600),
    ("1.1.3", "1.1.4", "/etc/kubernetes/manifests/kube-controller-manager.yaml", 0o600),
    ("1.1.5", "1.1.6", "/etc/kubernetes/manifests/kube-scheduler.yaml", 0o600),
    ("1.1.7", "1.1.8", "/etc/kubernetes/manifests/etcd.yaml", 0o600),
    ("1.1.9", "1.1.10", "/etc/cni/net.d/*", 0o600),
    ("1.1.11", "1.1.12", ETCD_DATA, 0o700),
    ("1.1.13", "1.1.14", "/etc/kubernetes/*admin.conf", 0o600),
    ("1.1.15", "1.1.16", "/etc/kubernetes/scheduler.conf", 0o600),
    ("1.1.17", "1.1.18", "/etc/kubernetes/controller-manager.conf", 0o600),
    ("", "1.1.19", "/etc/kubernetes/pki*", 0o755),
    ("1.1.20", "", "/etc/kubernetes/pki/*.crt", 0o644),
    ("1.1.21", "", "/etc/kubernetes/pki/*.key", 0o600),
    ("4.1.1", "4.1.2", "*/kubelet.service.d/*.conf", 0o600),
    ("4.1.3", "4.1.4", "*/*proxy*.conf", 0o600),
    ("4.1.5", "4.1.6", KUBELET_KUBECONFIG, 0o600),
    ("4.1.7", "4.1.8", KUBELET_CLIENT_CA, 0o644),
    ("4.1.9", "4.1.10", KUBELET_CONFIG, 0o600),
)
_ROOT = ("root", "root")
# kubeadm's etcd runs as root.
_OWNERS = {"1.1.12": (_ROOT, ("etcd", "etcd"))}
# Controls of files that need not be there.
_MAY_BE_ABSENT = frozenset({"4.1.3", "4.1.4"})
_STRONG = ("kms", "secretbox", "aescbc", "aesgcm")


def host_findings(surveys: Iterable[HostSurvey]) -> Iterator[Answer]:
    """The answers of all hosts together; a file that no host has is not evaluated."""
    hosts = list(surveys)
    for mode_id, owner_id, what, most in _FILES:
        found = [(host.host, file) for host in hosts for file in _files(host, what)]
        hidden = ", ".join(filter(None, (host.hides(_pattern(host, what)) for host in hosts)))
        shown = USUAL_PLACES.get(what, what)
        for id_, title, faults in (
            (mode_id, f"{shown} has mode {most:o} or less", _loose(found, most)),
            (owner_id, f"{shown} is {_whose(owner_id)}", _strange(found, owner_id)),
        ):
            is_fine = id_ in _MAY_BE_ABSENT and all(host.is_node for host in hosts)
            absent = "" if found or is_fine else f"no host has {shown}"
            if id_:
                yield _control(id_, title).judged(faults, hidden or absent)
    yield from kubelet_findings(hosts)
    yield from _named_by_flags(hosts)


def _pattern(host: HostSurvey, what: str) -> str:
    return host.place(what) if what in USUAL_PLACES else what


def _files(host: HostSurvey, what: str) -> Iterator[HostFile]:
    pattern = _pattern(host, what)
    return (file for file in host.files if fnmatch(file.path, pattern))


def _loose(found: Iterable[tuple[str, HostFile]], most: int) -> Iterator[str]:
    return (f"{host}:{file.path} has {file.mode:o}" for host, file in found if file.mode & ~most)


def _strange(found: Iterable[tuple[str, HostFile]], id_: str) -> Iterator[str]:
    owners = _OWNERS.get(id_, (_ROOT,))
    return (
        f"{host}:{file.path} is {file.owner}:{file.group}'s"
        for host, file in found
        if (file.owner, file.group) not in owners
    )


def _whose(id_: str) -> str:
    return " or ".join(f"{owner}:{group}'s" for owner, group in _OWNERS.get(id_, (_ROOT,)))


def _hidden(hosts: Iterable[HostSurvey], pattern: str) -> str:
    """On which hosts some of a pattern's files may not be seen: what is not seen is no pass."""
    return ", ".join(filter(None, (host.hides(pattern) for host in hosts)))


def _control(id_: str, title: str, severity: Severity = Severity.MEDIUM) -> Control:
    return Control(id=id_, title=title, severity=severity, remedy="chmod or chown it on the host")


def _named_by_flags(hosts: list[HostSurvey]) -> Iterator[Answer]:
    """What files that the API server's flags name hold."""
    encryption = _control("1.2.28", "Secrets are encrypted with a strong cipher", _HIGH)
    servers = [
        (host, flags_of(command_of(pod.get("spec"))))
        for host in hosts
        for pod in host.static_pods()
        if name_of(pod) == "kube-apiserver"
    ]
    hidden = _hidden(hosts, f"{MANIFESTS}/kube-apiserver.yaml")
    why_not = hidden or ("" if servers else "no host has an API server's manifest")
    config = "encryption-provider-config"
    sealed = [host.hides(flags[config]) for host, flags in servers if config in flags]
    yield encryption.judged(
        (
            f"{host.host}: {why}"
            for host, flags in servers
            for why in (_weak(host.texts.get(flags.get(config, ""))),)
            if why and not (config in flags and host.hides(flags[config]))
        ),
        why_not or ", ".join(filter(None, sealed)),
    )
    yield from audit_policy_findings(servers, why_not)


def _weak(text: str | None) -> str:
    if text is None:
        return "Secrets are not encrypted"
    first = text.partition("providers:")[2].lstrip().removeprefix("-").lstrip().partition(":")[0]
    return "" if first in _STRONG else f"Secrets are written by provider {first or 'none'}"
