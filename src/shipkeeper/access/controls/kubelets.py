"""Groups 4.2 and 4.3: how kubelets and kube-proxy run, by flags and configuration files. Pure.

A flag goes before the file. Without a file a kubelet is far more open than with an empty one: what
is not said then means what it meant before there were files.
"""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from shipkeeper.access.controls.control import Control
from shipkeeper.access.controls.flags import weak_ciphers
from shipkeeper.access.controls.host import (
    KUBELET,
    KUBELET_CONFIG,
    PROXY,
    HostSurvey,
    read_mapping,
    setting,
)
from shipkeeper.engine.finding import Answer, Severity

_HIGH, _LOW, _MEDIUM = Severity.HIGH, Severity.LOW, Severity.MEDIUM
_LOOPBACK = ("127.", "localhost", "[::1]", "::1")
# What Go takes besides the words.
_BOOLS = {"1": "true", "t": "true", "T": "true", "TRUE": "true", "True": "true"}
Fault = Callable[[str], str]
"""What is wrong with a value, as a flag would spell it; empty if nothing is."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting of the kubelet: its control, its flag, its place in the file, and its defaults."""

    control: Control
    flag: str
    path: tuple[str, ...] = ()
    default: str = ""
    without_file: str | None = None
    """The default of a kubelet that has no file, if it is another."""
    fault: Fault

    def judge(self, flags: dict[str, str], config: dict[str, Any] | None) -> str:
        """What is wrong with it."""
        value = flags.get(self.flag)
        if self.default in ("true", "false"):
            value = _BOOLS.get(value or "", value)
        if value is None:
            value = setting(config, *self.path) if self.path else None
        if value is None:
            is_bare = config is None and self.without_file is not None
            value = self.without_file if is_bare else self.default
        return self.fault(value or "")


def _not(bad: str, why: str) -> Fault:
    return lambda value: why if value == bad else ""


def _must(good: str, what: str) -> Fault:
    return lambda value: "" if value == good else f"{what} is {value or 'not set'}"


def _no_end(value: str) -> str:
    return "streams are never ended" if value in ("0", "0s") else ""


def _limited(value: str) -> str:
    return "" if value.isdecimal() and int(value) > 0 else "pods may have any number of processes"


def _events(value: str) -> str:
    return "events are not limited in rate" if value == "0" else ""


def _renamed(value: str) -> str:
    return f"it calls itself {value}" if value else ""


def _set(what: str) -> Fault:
    return lambda value: "" if value else f"{what} is not set"


def _server_rotation(value: str) -> str:
    is_off = value == "false" or "RotateKubeletServerCertificate=false" in value
    return "the feature is off" if is_off else ""


def _control(id_: str, title: str, severity: Severity) -> Control:
    remedy = "change the kubelet's configuration file, or its flags, and restart it"
    return Control(id=id_, title=title, severity=severity, remedy=remedy)


def _setting(
    id_: str,
    title: str,
    severity: Severity,
    flag: str,
    path: str,
    fault: Fault,
    default: str = "",
    without_file: str | None = None,
) -> Setting:
    return Setting(
        control=_control(id_, title, severity),
        flag=flag,
        path=tuple(path.split(".")) if path else (),
        default=default,
        without_file=without_file,
        fault=fault,
    )


SETTINGS: tuple[Setting, ...] = (
    _setting(
        "4.2.1",
        "Kubelets take no anonymous requests",
        _HIGH,
        "anonymous-auth",
        "authentication.anonymous.enabled",
        _not("true", "anonymous requests are taken"),
        "false",
        "true",
    ),
    _setting(
        "4.2.2",
        "Kubelets ask the API server who may",
        _HIGH,
        "authorization-mode",
        "authorization.mode",
        _not("AlwaysAllow", "authorization is AlwaysAllow"),
        "Webhook",
        "AlwaysAllow",
    ),
    _setting(
        "4.2.3",
        "Kubelets check clients' certificates",
        _HIGH,
        "client-ca-file",
        "authentication.x509.clientCAFile",
        _set("the client CA"),
    ),
    _setting(
        "4.2.4",
        "Kubelets have no read-only port",
        _HIGH,
        "read-only-port",
        "readOnlyPort",
        _must("0", "the read-only port"),
        "0",
        "10255",
    ),
    _setting(
        "4.2.5",
        "Streams that nothing comes through are ended",
        _LOW,
        # In the file 0s is the default of 4 hours.
        "streaming-connection-idle-timeout",
        "",
        _no_end,
        "4h",
    ),
    _setting(
        "4.2.6",
        "Kubelets keep their iptables chains",
        _LOW,
        "make-iptables-util-chains",
        "makeIPTablesUtilChains",
        _must("true", "makeIPTablesUtilChains"),
        "true",
    ),
    _setting("4.2.7", "Kubelets go by their hosts' names", _LOW, "hostname-override", "", _renamed),
    _setting(
        "4.2.8",
        "Kubelets limit the rate of events",
        _LOW,
        "event-qps",
        "eventRecordQPS",
        _events,
        "50",
    ),
    _setting(
        "4.2.9",
        "Kubelets serve with a certificate that somebody signed",
        _MEDIUM,
        "tls-cert-file",
        "tlsCertFile",
        _set("a certificate to serve with"),
    ),
    _setting(
        "4.2.10",
        "Kubelets renew their certificates",
        _MEDIUM,
        "rotate-certificates",
        "rotateCertificates",
        _must("true", "rotateCertificates"),
        "false",
    ),
    _setting(
        "4.2.11",
        "Kubelets may renew the certificates that they serve with",
        _MEDIUM,
        "feature-gates",
        "featureGates.RotateKubeletServerCertificate",
        _server_rotation,
    ),
    _setting(
        "4.2.12",
        "Kubelets serve with no weak ciphers",
        _MEDIUM,
        "tls-cipher-suites",
        "tlsCipherSuites",
        weak_ciphers,
    ),
    _setting(
        "4.2.13",
        "Pods are limited in their number of processes",
        _LOW,
        "pod-max-pids",
        "podPidsLimit",
        _limited,
        "-1",
    ),
    _setting(
        "4.2.14",
        "Pods have the runtime's seccomp profile unless they say otherwise",
        _LOW,
        "seccomp-default",
        "seccompDefault",
        _must("true", "seccompDefault"),
        "false",
    ),
)
_PROXY = Control(
    id="4.3.1",
    title="kube-proxy tells its metrics on loopback alone",
    severity=_LOW,
    remedy="set metricsBindAddress of kube-proxy's configuration to 127.0.0.1:10249",
)


def kubelet_findings(hosts: list[HostSurvey]) -> Iterator[Answer]:
    """The answers of all hosts' kubelets and proxies together."""
    known = [host for host in hosts if host.is_node and not _lacks_file(host)]
    hidden = [host.hides(host.place(KUBELET_CONFIG)) or _lacks_file(host) for host in hosts]
    why_not = ", ".join(filter(None, hidden))
    why_not = why_not or ("" if known else "no host has a kubelet that can be seen")
    for each in SETTINGS:
        faults = ((host, each.judge(host.flags(KUBELET), host.kubelet())) for host in known)
        yield each.control.judged((f"{host.host}: {why}" for host, why in faults if why), why_not)
    unreached = ", ".join(host.hides("") for host in hosts if host.unreached)
    yield _proxies([host for host in hosts if PROXY in host.commands], unreached)


def _lacks_file(host: HostSurvey) -> str:
    """Whether a kubelet runs with a file that is not at hand: then its settings are not known."""
    if host.kubelet() is not None or "config" not in host.flags(KUBELET):
        return ""
    return f"{host.host}:{host.place(KUBELET_CONFIG)} may not be read"


def _proxies(hosts: list[HostSurvey], unreached: str) -> Answer:
    why_not = unreached or ("" if hosts else "no host has a kube-proxy that can be seen")
    unread = [host.host for host in hosts if not (host.proxy_config or _address(host))]
    if unread:
        why_not = f"the configuration of kube-proxy may not be read on {', '.join(unread)}"
    faults = ((host.host, _address(host)) for host in hosts if host.host not in unread)
    return _PROXY.judged(
        (f"{host}: it listens at {where}" for host, where in faults if not _is_loopback(where)),
        why_not,
    )


def _address(host: HostSurvey) -> str:
    named = host.flags(PROXY).get("metrics-bind-address", "")
    if named or not host.proxy_config:
        return named
    named = setting(read_mapping(host.proxy_config), "metricsBindAddress")
    return named or "127.0.0.1:10249"


def _is_loopback(address: str) -> bool:
    return address.startswith(_LOOPBACK)
