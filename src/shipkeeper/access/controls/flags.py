"""Groups 1.2, 1.3, 1.4 and 2: the flags of the control plane, where its pods are visible. Pure."""

from collections.abc import Callable, Iterator, Mapping

import msgspec

from shipkeeper.access.authorizers import command_of, flags_of
from shipkeeper.access.controls.control import Control
from shipkeeper.access.policy import Policy
from shipkeeper.engine.finding import Answer, Severity

Flags = Mapping[str, str]
Test = Callable[[Flags], str]
"""What is wrong with a component's flags; empty if nothing is."""

API_SERVER, MANAGER, SCHEDULER, ETCD = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "etcd",
)
# Ciphers without forward secrecy or with broken parts.
_WEAK = ("_RC4_", "_3DES_", "TLS_RSA_", "_CBC_SHA256")


class FlagControl(msgspec.Struct, frozen=True, kw_only=True):
    """A control that one component's flags answer."""

    component: str
    control: Control
    test: Test


def is_set(*names: str) -> Test:
    """Every flag is given."""
    return lambda flags: ", ".join(f"--{name} is not set" for name in names if name not in flags)


def is_not_set(name: str) -> Test:
    """A flag is not given."""
    return lambda flags: f"--{name} is set" if name in flags else ""


def is_value(name: str, value: str) -> Test:
    """A flag has just this value."""
    return lambda flags: (
        "" if flags.get(name) == value else f"--{name} is {flags.get(name, 'not set')}"
    )


def is_not_value(name: str, value: str) -> Test:
    """A flag does not have this value; left out is fine."""
    return lambda flags: f"--{name}={value}" if flags.get(name) == value else ""


def has_word(name: str, word: str) -> Test:
    """A list has a word in it."""
    return lambda flags: "" if word in flags.get(name, "").split(",") else f"--{name} lacks {word}"


def lacks_word(name: str, word: str) -> Test:
    """A list does not have a word in it."""
    return lambda flags: f"--{name} has {word}" if word in flags.get(name, "").split(",") else ""


def at_least(name: str, least: int) -> Test:
    """A number is at least so high."""

    def test(flags: Flags) -> str:
        value = flags.get(name, "")
        enough = value.isdecimal() and int(value) >= least
        return "" if enough else f"--{name} is {value or 'not set'}, below {least}"

    return test


def has_mode(mode: str) -> Test:
    """An authorization mode is on; by a configuration file it is not for flags to tell."""
    return lambda flags: (
        "" if mode in flags.get("authorization-mode", "AlwaysAllow") else f"mode {mode} is not on"
    )


def _no_always_allow(flags: Flags) -> str:
    allows = "AlwaysAllow" in flags.get("authorization-mode", "AlwaysAllow")
    return "everything is allowed to everybody" if allows else ""


def weak_ciphers(suites: str) -> str:
    """The weak ones of a list of ciphers; empty if there are none."""
    weak = [each for each in suites.split(",") if any(part in each for part in _WEAK)]
    return f"weak ciphers: {', '.join(weak)}" if weak else ""


def _no_weak_cipher(flags: Flags) -> str:
    return weak_ciphers(flags.get("tls-cipher-suites", ""))


def _requests_end(flags: Flags) -> str:
    value = flags.get("request-timeout", "60s")
    return "requests never end" if value.rstrip("hms") in ("", "0") else ""


def _control(
    component: str, id_: str, title: str, test: Test, severity: Severity = Severity.MEDIUM
) -> FlagControl:
    remedy = f"change the flags of {component}, in its static pod's manifest"
    control = Control(id=id_, title=title, severity=severity, remedy=remedy)
    return FlagControl(component=component, control=control, test=test)


_HIGH, _LOW = Severity.HIGH, Severity.LOW
_ADMISSION, _NO_ADMISSION = "enable-admission-plugins", "disable-admission-plugins"
CONTROLS: tuple[FlagControl, ...] = (
    _control(API_SERVER, "1.2.1", "No anonymous requests", is_value("anonymous-auth", "false")),
    _control(API_SERVER, "1.2.2", "No static token file", is_not_set("token-auth-file"), _HIGH),
    _control(
        API_SERVER,
        "1.2.3",
        "Services may not claim external addresses",
        has_word(_ADMISSION, "DenyServiceExternalIPs"),
        _LOW,
    ),
    _control(
        API_SERVER,
        "1.2.4",
        "Kubelets are met with a client certificate",
        is_set("kubelet-client-certificate", "kubelet-client-key"),
    ),
    _control(
        API_SERVER,
        "1.2.5",
        "Kubelets' certificates are checked",
        is_set("kubelet-certificate-authority"),
    ),
    _control(API_SERVER, "1.2.6", "Not everything is allowed", _no_always_allow, _HIGH),
    _control(API_SERVER, "1.2.7", "Kubelets are held to their own objects", has_mode("Node")),
    _control(API_SERVER, "1.2.8", "RBAC is on", has_mode("RBAC"), _HIGH),
    _control(
        API_SERVER,
        "1.2.9",
        "Events are limited in rate",
        has_word(_ADMISSION, "EventRateLimit"),
        _LOW,
    ),
    _control(
        API_SERVER,
        "1.2.10",
        "Admission is not waved through",
        lacks_word(_ADMISSION, "AlwaysAdmit"),
    ),
    _control(
        API_SERVER,
        "1.2.11",
        "Images are pulled with each pod's own credentials",
        has_word(_ADMISSION, "AlwaysPullImages"),
        _LOW,
    ),
    _control(
        API_SERVER,
        "1.2.12",
        "ServiceAccount admission is on",
        lacks_word(_NO_ADMISSION, "ServiceAccount"),
    ),
    _control(
        API_SERVER,
        "1.2.13",
        "NamespaceLifecycle admission is on",
        lacks_word(_NO_ADMISSION, "NamespaceLifecycle"),
    ),
    _control(
        API_SERVER,
        "1.2.14",
        "NodeRestriction is on",
        has_word(_ADMISSION, "NodeRestriction"),
        _HIGH,
    ),
    _control(API_SERVER, "1.2.15", "No profiling", is_value("profiling", "false"), _LOW),
    _control(API_SERVER, "1.2.16", "There is an audit log", is_set("audit-log-path")),
    _control(
        API_SERVER,
        "1.2.17",
        "The audit log is kept 30 days",
        at_least("audit-log-maxage", 30),
        _LOW,
    ),
    _control(
        API_SERVER,
        "1.2.18",
        "Ten old audit logs are kept",
        at_least("audit-log-maxbackup", 10),
        _LOW,
    ),
    _control(
        API_SERVER, "1.2.19", "Audit logs hold 100 MB", at_least("audit-log-maxsize", 100), _LOW
    ),
    _control(API_SERVER, "1.2.20", "Requests end some time", _requests_end, _LOW),
    _control(
        API_SERVER,
        "1.2.21",
        "Tokens of deleted ServiceAccounts are refused",
        is_not_value("service-account-lookup", "false"),
    ),
    _control(
        API_SERVER,
        "1.2.22",
        "ServiceAccounts' tokens have a key of their own",
        is_set("service-account-key-file"),
    ),
    _control(
        API_SERVER,
        "1.2.23",
        "etcd is met with a client certificate",
        is_set("etcd-certfile", "etcd-keyfile"),
        _HIGH,
    ),
    _control(
        API_SERVER,
        "1.2.24",
        "The API is served with a certificate",
        is_set("tls-cert-file", "tls-private-key-file"),
    ),
    _control(
        API_SERVER, "1.2.25", "Clients' certificates are checked", is_set("client-ca-file"), _HIGH
    ),
    _control(API_SERVER, "1.2.26", "etcd's certificate is checked", is_set("etcd-cafile"), _HIGH),
    _control(
        API_SERVER, "1.2.27", "Secrets are encrypted in etcd", is_set("encryption-provider-config")
    ),
    _control(API_SERVER, "1.2.29", "No weak ciphers", _no_weak_cipher),
    _control(
        MANAGER,
        "1.3.1",
        "Finished pods are cleared away",
        is_set("terminated-pod-gc-threshold"),
        _LOW,
    ),
    _control(MANAGER, "1.3.2", "No profiling", is_value("profiling", "false"), _LOW),
    _control(
        MANAGER,
        "1.3.3",
        "Each controller has an identity of its own",
        is_value("use-service-account-credentials", "true"),
    ),
    _control(
        MANAGER,
        "1.3.4",
        "Tokens are signed with a key of their own",
        is_set("service-account-private-key-file"),
    ),
    _control(MANAGER, "1.3.5", "Pods are told the cluster's authority", is_set("root-ca-file")),
    _control(
        MANAGER,
        "1.3.6",
        "Kubelets' serving certificates are renewed",
        lacks_word("feature-gates", "RotateKubeletServerCertificate=false"),
    ),
    _control(
        MANAGER,
        "1.3.7",
        "It listens on loopback alone",
        is_value("bind-address", "127.0.0.1"),
        _LOW,
    ),
    _control(SCHEDULER, "1.4.1", "No profiling", is_value("profiling", "false"), _LOW),
    _control(
        SCHEDULER,
        "1.4.2",
        "It listens on loopback alone",
        is_value("bind-address", "127.0.0.1"),
        _LOW,
    ),
    _control(
        ETCD, "2.1", "It is served with a certificate", is_set("cert-file", "key-file"), _HIGH
    ),
    _control(
        ETCD, "2.2", "Clients need a certificate", is_value("client-cert-auth", "true"), _HIGH
    ),
    _control(
        ETCD, "2.3", "No certificate of its own making", is_not_value("auto-tls", "true"), _HIGH
    ),
    _control(ETCD, "2.4", "Peers have certificates", is_set("peer-cert-file", "peer-key-file")),
    _control(ETCD, "2.5", "Peers need a certificate", is_value("peer-client-cert-auth", "true")),
    _control(
        ETCD, "2.6", "No peer certificate of its own making", is_not_value("peer-auto-tls", "true")
    ),
)
_OWN_AUTHORITY = Control(
    id="2.7",
    title="etcd has an authority of its own",
    remedy="give etcd a CA that signs nothing else",
)
_BY_FILE = ("1.2.6", "1.2.7", "1.2.8")
_ONLY_FILES = Control(id="1.2.28", title="Secrets are encrypted with a strong cipher")


def flag_findings(policy: Policy) -> Iterator[Answer]:
    """The controls that flags answer; not evaluated for components that are not visible.

    Where a component runs more than once, each of its instances must be in order.
    """
    flags = {
        name: _component_flags(policy, name) for name in (API_SERVER, MANAGER, SCHEDULER, ETCD)
    }
    for each in CONTROLS:
        found = flags[each.component]
        if not found:
            why = policy.lacks("Pod") or f"{each.component} is not visible as a pod"
            yield each.control.not_evaluated(why)
        elif each.control.id in _BY_FILE and any("authorization-config" in one for one in found):
            yield _by_file(each, policy)
        else:
            yield each.control.judged(dict.fromkeys(filter(None, map(each.test, found))))
    servers, etcds = flags[API_SERVER], flags[ETCD]
    if not (servers and etcds):
        yield _OWN_AUTHORITY.not_evaluated("etcd and kube-apiserver are not both visible as pods")
    else:
        clients = {server.get("client-ca-file") for server in servers}
        same = any(etcd.get("trusted-ca-file") in clients for etcd in etcds)
        yield _OWN_AUTHORITY.judged(["one authority for etcd and clients"] if same else [])
    yield _ONLY_FILES.not_evaluated("it takes a look at the file on the host")


def _by_file(control: FlagControl, policy: Policy) -> Answer:
    """Modes by the file of --authorization-config, where that was read."""
    if not policy.is_chain_known:
        why = "it is for the file of --authorization-config to tell"
        return control.control.not_evaluated(why)
    modes = {"authorization-mode": ",".join(policy.chain.types)}
    return control.control.judged(filter(None, (control.test(modes),)))


def _component_flags(policy: Policy, component: str) -> list[dict[str, str]]:
    """The flags of each instance; of those that are alike, once."""
    found: list[dict[str, str]] = []
    for pod in policy.pods:
        if pod.namespace == "kube-system" and pod.metadata.labels.get("component") == component:
            flags = flags_of(command_of(pod.spec))
            if flags not in found:
                found.append(flags)
    return found
