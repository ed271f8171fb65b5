"""Groups 1.1, 4.1 and 4.2, 1.2.28 and 3.2.1: what the files on hosts tell. Pure."""

from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatch
from typing import Any

from shipkeeper.access.authorizers import command_of, flags_of
from shipkeeper.access.controls.control import Control
from shipkeeper.access.controls.host import KUBELET_CONFIG, MANIFESTS, HostFile, HostSurvey
from shipkeeper.engine.finding import Answer, Severity

Fault = Callable[[dict[str, Any]], str]

_HIGH, _LOW = Severity.HIGH, Severity.LOW
# Control for the mode, control for the owner (empty: none), pattern, most that the mode may be.
_FILES: tuple[tuple[str, str, str, int], ...] = (
    ("1.1.1", "1.1.2", "/etc/kubernetes/manifests/kube-apiserver.yaml", 0o600),
    ("1.1.3", "1.1.4", "/etc/kubernetes/manifests/kube-controller-manager.yaml", 0o600),
    ("1.1.5", "1.1.6", "/etc/kubernetes/manifests/kube-scheduler.yaml", 0o600),
    ("1.1.7", "1.1.8", "/etc/kubernetes/manifests/etcd.yaml", 0o600),
    ("1.1.9", "1.1.10", "/etc/cni/net.d/*", 0o600),
    ("1.1.11", "1.1.12", "/var/lib/etcd", 0o700),
    ("1.1.13", "1.1.14", "/etc/kubernetes/*admin.conf", 0o600),
    ("1.1.15", "1.1.16", "/etc/kubernetes/scheduler.conf", 0o600),
    ("1.1.17", "1.1.18", "/etc/kubernetes/controller-manager.conf", 0o600),
    ("", "1.1.19", "/etc/kubernetes/pki*", 0o755),
    ("1.1.20", "", "/etc/kubernetes/pki/*.crt", 0o644),
    ("1.1.21", "", "/etc/kubernetes/pki/*.key", 0o600),
    ("4.1.1", "4.1.2", "*/kubelet.service.d/*.conf", 0o644),
    ("4.1.5", "4.1.6", "/etc/kubernetes/kubelet.conf", 0o600),
    ("4.1.9", "4.1.10", "/var/lib/kubelet/config.yaml", 0o644),
)
_OWNERS = {"1.1.12": ("root", "etcd")}
_STRONG = ("kms", "secretbox", "aescbc", "aesgcm")


def host_findings(surveys: Iterable[HostSurvey]) -> Iterator[Answer]:
    """The answers of all hosts together; a file that no host has is not evaluated."""
    hosts = list(surveys)
    for mode_id, owner_id, pattern, most in _FILES:
        found = [
            (host.host, file)
            for host in hosts
            for file in host.files
            if fnmatch(file.path, pattern)
        ]
        hidden = _hidden(hosts, pattern)
        why_not = hidden or ("" if found else f"no host has {pattern}")
        if mode_id:
            title = f"{pattern} has mode {most:o} or less"
            faults = (
                f"{host}:{file.path} has {file.mode:o}" for host, file in found if file.mode & ~most
            )
            yield _control(mode_id, title).judged(faults, why_not)
        if owner_id:
            owners = _OWNERS.get(owner_id, ("root",))
            strangers = (_strange(host, file) for host, file in found if file.owner not in owners)
            yield _control(owner_id, f"{pattern} is root's").judged(strangers, why_not)
    yield from _kubelets(hosts)
    yield from _named_by_flags(hosts)


def _hidden(hosts: Iterable[HostSurvey], pattern: str) -> str:
    """On which hosts some of a pattern's files may not be seen: what is not seen is no pass."""
    return ", ".join(filter(None, (host.hides(pattern) for host in hosts)))


def _control(id_: str, title: str, severity: Severity = Severity.MEDIUM) -> Control:
    return Control(id=id_, title=title, severity=severity, remedy="chmod or chown it on the host")


def _strange(host: str, file: HostFile) -> str:
    return f"{host}:{file.path} is {file.owner}:{file.group}'s"


def _is(key: str, wanted: object, default: object) -> Fault:
    return lambda config: (
        "" if config.get(key, default) == wanted else f"{key} is {config.get(key, default)}"
    )


def _anonymous(config: dict[str, Any]) -> str:
    found = _part(config, "authentication", "anonymous").get("enabled", False)
    return "anonymous requests are taken" if found else ""


def _mode(config: dict[str, Any]) -> str:
    mode = _part(config, "authorization").get("mode", "Webhook")
    return f"authorization is {mode}" if mode == "AlwaysAllow" else ""


def _client_ca(config: dict[str, Any]) -> str:
    found = _part(config, "authentication", "x509").get("clientCAFile")
    return "" if found else "no client CA is set"


def _part(config: dict[str, Any], *keys: str) -> dict[str, Any]:
    for key in keys:
        config = config.get(key) or {}
    return config


_KUBELET: tuple[tuple[str, str, Severity, Fault], ...] = (
    ("4.2.1", "Kubelets take no anonymous requests", _HIGH, _anonymous),
    ("4.2.2", "Kubelets ask the API server who may", _HIGH, _mode),
    ("4.2.3", "Kubelets check clients' certificates", _HIGH, _client_ca),
    ("4.2.4", "Kubelets have no read-only port", _HIGH, _is("readOnlyPort", 0, 0)),
    (
        "4.2.6",
        "Kubelets keep their iptables chains",
        _LOW,
        _is("makeIPTablesUtilChains", True, True),
    ),
    (
        "4.2.10",
        "Kubelets renew their certificates",
        Severity.MEDIUM,
        _is("rotateCertificates", True, True),
    ),
)


def _kubelets(hosts: list[HostSurvey]) -> Iterator[Answer]:
    configs = [(host.host, host.kubelet()) for host in hosts]
    known = [(name, config) for name, config in configs if config is not None]
    hidden = _hidden(hosts, KUBELET_CONFIG)
    why_not = hidden or ("" if known else "no host has the kubelet's configuration file")
    for id_, title, severity, fault in _KUBELET:
        faults = [f"{name}: {fault(config)}" for name, config in known if fault(config)]
        yield _control(id_, title, severity).judged(faults, why_not)


def _named_by_flags(hosts: list[HostSurvey]) -> Iterator[Answer]:
    """What files that the API server's flags name hold."""
    encryption = _control("1.2.28", "Secrets are encrypted with a strong cipher", _HIGH)
    audit = _control("3.2.1", "There is an audit policy")
    servers = [
        (host, flags_of(command_of(pod.get("spec") or {})))
        for host in hosts
        for pod in host.static_pods()
        if pod.get("metadata", {}).get("name") == "kube-apiserver"
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
    yield audit.judged(
        (f"{host.host} has none" for host, flags in servers if "audit-policy-file" not in flags),
        why_not,
    )


def _weak(text: str | None) -> str:
    if text is None:
        return "Secrets are not encrypted"
    first = text.partition("providers:")[2].lstrip().removeprefix("-").lstrip().partition(":")[0]
    return "" if first in _STRONG else f"Secrets are written by provider {first or 'none'}"
