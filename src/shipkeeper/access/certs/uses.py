"""What the certificates of a host are for: by the flags of its components. Pure."""

import base64
import binascii
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import msgspec

from shipkeeper.access.certs.certificate import (
    Certificate,
    UnreadableError,
    Usage,
    parse_pem,
)
from shipkeeper.access.certs.host import HostFile, HostLook
from shipkeeper.access.certs.survey import Kind, Serving, Sighting
from shipkeeper.engine.finding import Finding, Severity, Unchecked

_PKI = "/etc/kubernetes/pki"
_SERVER, _CLIENT, _BOTH = (Usage.SERVER,), (Usage.CLIENT,), (Usage.SERVER, Usage.CLIENT)
_API, _ETCD, _KUBELET = "kube-apiserver", "etcd", "kubelet"
_CONTROLLERS = "kube-controller-manager"
_IN_CLUSTER = "kubernetes.default.svc"
# Seconds by which the clocks of files and processes may differ.
_MARGIN = 3.0
KUBELET_PKI = "/var/lib/kubelet/pki"


class FlagUse(msgspec.Struct, frozen=True, kw_only=True):
    """A flag that names a certificate, what it is for, and whose flag names who trusts it.

    `default` is kubeadm's file; empty usages mean an authority.
    """

    component: str
    flag: str
    default: str
    usages: tuple[Usage, ...] = ()
    trusted_by: tuple[str, str] | None = None
    purpose: str = ""


def _use(
    component: str,
    flag: str,
    default: str,
    purpose: str,
    usages: tuple[Usage, ...] = (),
    trusted_by: tuple[str, str] | None = None,
) -> FlagUse:
    return FlagUse(
        component=component,
        flag=flag,
        default=f"{_PKI}/{default}" if default else "",
        usages=usages,
        trusted_by=trusted_by,
        purpose=purpose,
    )


FLAG_USES = (
    _use(_API, "client-ca-file", "ca.crt", "authority of the cluster"),
    _use(_API, "tls-cert-file", "apiserver.crt", "API server", _SERVER),
    _use(
        *(_API, "kubelet-client-certificate", "apiserver-kubelet-client.crt"),
        *("API server to kubelets", _CLIENT, (_API, "client-ca-file")),
    ),
    _use(
        _API, "requestheader-client-ca-file", "front-proxy-ca.crt", "authority of the front proxy"
    ),
    _use(
        *(_API, "proxy-client-cert-file", "front-proxy-client.crt"),
        *("API server to aggregated APIs", _CLIENT, (_API, "requestheader-client-ca-file")),
    ),
    _use(_API, "etcd-cafile", "etcd/ca.crt", "authority of etcd"),
    _use(
        *(_API, "etcd-certfile", "apiserver-etcd-client.crt"),
        *("API server to etcd", _CLIENT, (_ETCD, "trusted-ca-file")),
    ),
    _use(_ETCD, "trusted-ca-file", "etcd/ca.crt", "authority of etcd"),
    _use(
        *(_ETCD, "cert-file", "etcd/server.crt"),
        *("etcd", _SERVER, (_API, "etcd-cafile")),
    ),
    _use(
        *(_ETCD, "peer-cert-file", "etcd/peer.crt"),
        *("etcd among its members", _BOTH, (_ETCD, "peer-trusted-ca-file")),
    ),
    _use(_ETCD, "peer-trusted-ca-file", "etcd/ca.crt", "authority of etcd's members"),
    _use(_CONTROLLERS, "cluster-signing-cert-file", "ca.crt", "authority that signs requests"),
    _use(_CONTROLLERS, "root-ca-file", "ca.crt", "authority told to pods"),
    _use(_CONTROLLERS, "tls-cert-file", "", "controller manager", _SERVER),
    _use("kube-scheduler", "tls-cert-file", "", "scheduler", _SERVER),
)
_HEALTH = f"{_PKI}/etcd/healthcheck-client.crt"
# By kubeadm's names: processes that read their kubeconfig once, when they start.
_READ_ONCE = {
    "/etc/kubernetes/controller-manager.conf": _CONTROLLERS,
    "/etc/kubernetes/scheduler.conf": "kube-scheduler",
}


class HostCertificates:
    """The certificates of one host and what there is to say of them."""

    def __init__(self, look: HostLook) -> None:
        self._look = look
        self._chains = {each.path: _chain(each) for each in look.files}
        self._uses = self._by_path()

    def sightings(self) -> Iterator[Sighting]:
        """Every file and kubeconfig."""
        for file in self._look.files:
            if file.is_kubeconfig:
                yield from self._kubeconfig(file)
            elif file.is_readable:
                yield self._file(file)

    def servings(self, addresses: Iterable[tuple[str, str]]) -> Iterator[Serving]:
        """Which file each port (component and target) of the host should present."""
        wanted = {
            "kube-apiserver": self._path(_API, "tls-cert-file"),
            "etcd": self._path(_ETCD, "cert-file"),
            "etcd peer": self._path(_ETCD, "peer-cert-file"),
            "kube-controller-manager": self._path(_CONTROLLERS, "tls-cert-file"),
            "kube-scheduler": self._path("kube-scheduler", "tls-cert-file"),
            "kubelet": self.kubelet_file(),
        }
        for role, target in addresses:
            path = wanted.get(role, "")
            chain, _ = self._chains.get(path, ((), ""))
            if chain:
                yield Serving(file=self._target(path), leaf=chain[0], port=target)

    def kubelet_file(self) -> str:
        """The file of the kubelet's serving certificate, empty if there is none."""
        named = str(self._look.kubelet().get("tlsCertFile") or "")
        candidates = (
            named,
            f"{KUBELET_PKI}/kubelet-server-current.pem",
            f"{KUBELET_PKI}/kubelet.crt",
        )
        return next((each for each in candidates if each in self._chains), "")

    def stale_clients(self) -> Iterator[Finding]:
        """Components that were started before their kubeconfig was written."""
        for path, component in _READ_ONCE.items():
            file, since = self._look.file(path), self._look.since(component)
            if file is None or since is None or file.written <= since + _MARGIN:
                continue
            yield Finding(
                rule="StaleClient",
                severity=Severity.MEDIUM,
                target=f"{component} on {self._look.name}",
                message=f"it may still log in with the certificate that {path} held before",
                evidence=(
                    f"{path} was written at {_moment(file.written)}",
                    f"{component} runs since {_moment(since)} and reads it once",
                ),
                remedy=f"restart {component} on {self._look.name}",
            )

    def shared_authorities(self) -> Iterator[Finding]:
        """Authorities that must not be one and the same."""
        cluster = self._keys(_API, "client-ca-file")
        for flag, path, what in (
            ("etcd-cafile", f"{_PKI}/etcd/ca.crt", "opens etcd"),
            ("requestheader-client-ca-file", f"{_PKI}/front-proxy-ca.crt", "may speak for anybody"),
        ):
            names = (self._look.flags(_API) or {}).get("requestheader-allowed-names", "")
            if flag.startswith("requestheader") and names:
                continue
            if cluster & self._keys(_API, flag):
                yield Finding(
                    rule="SharedAuthority",
                    severity=Severity.HIGH,
                    target=self._target(self._path(_API, flag) or path),
                    message=f"the cluster's authority: every user's certificate {what}",
                    evidence=(f"the same key as in {self._path(_API, 'client-ca-file')}",),
                    remedy="give it an authority of its own",
                )

    def unchecked(self) -> Iterator[Unchecked]:
        """What could not be looked at."""
        closed = [each.path for each in self._look.files if not each.is_readable]
        for path in closed:
            yield Unchecked(what=self._target(path), why="it may not be read (try --sudo)")
        for each in self._look.files:
            if each.is_kubeconfig and not each.lines:
                why = "it is no kubeconfig of a setting a line (JSON?), and keys are never fetched"
                yield Unchecked(what=self._target(each.path), why=why)
        if not self._look.has_openssl and self._look.files:
            yield Unchecked(
                what=f"private keys of {self._look.name}", why="there is no openssl on the host"
            )

    def anchors(self) -> tuple[Certificate, ...]:
        """What the kubeconfigs of the host trust the API server by."""
        found = [
            each
            for file in self._look.files
            if file.is_kubeconfig and file.path.startswith("/etc/kubernetes/")
            for each in self._authority(file)[0]
        ]
        return tuple(dict.fromkeys(found))

    def names(self) -> tuple[str, ...]:
        """The names by which the kubeconfigs of the host come to the API server."""
        found: dict[str, None] = {}
        for file in self._look.files:
            server = (
                file.lines.get("tls-server-name") or urlsplit(file.lines.get("server", "")).hostname
            )
            if server:
                found[server] = None
        return tuple(found)

    def etcd_anchors(self) -> tuple[Certificate, ...] | None:
        """What the API server of the host trusts etcd by, None if that is not known."""
        return self._chain_of(_API, "etcd-cafile")

    def peer_anchors(self) -> tuple[Certificate, ...] | None:
        """What the etcd of the host trusts its peers by, None if that is not known."""
        return self._chain_of(_ETCD, "peer-trusted-ca-file")

    def kubelet_anchors(self) -> tuple[Certificate, ...] | None:
        """What the API server of the host trusts kubelets by, None if it takes any."""
        return self._chain_of(_API, "kubelet-certificate-authority")

    def _chain_of(self, component: str, flag: str) -> tuple[Certificate, ...] | None:
        return self._chains.get(self._path(component, flag), ((), ""))[0] or None

    def _keys(self, component: str, flag: str) -> set[str]:
        return {each.key_digest for each in self._chain_of(component, flag) or ()}

    def _path(self, component: str, flag: str) -> str:
        """The file that a flag names; kubeadm's where the component is not to be seen."""
        flags = self._look.flags(component)
        if flags is not None:
            return flags.get(flag, "")
        known = ((each.component, each.flag, each.default) for each in FLAG_USES)
        return next((path for one, name, path in known if (one, name) == (component, flag)), "")

    def _by_path(self) -> dict[str, FlagUse]:
        found: dict[str, FlagUse] = {}
        for each in FLAG_USES:
            path = self._path(each.component, each.flag)
            if path:
                found.setdefault(path, each)
        health = _use(_ETCD, "", "", "etcd's probe", _CLIENT, (_ETCD, "trusted-ca-file"))
        found.setdefault(_HEALTH, health)
        return found

    def _file(self, file: HostFile) -> Sighting:
        chain, problem = self._chains[file.path]
        use = self._uses.get(file.path)
        if use is None and file.path.startswith(KUBELET_PKI):
            return self._kubelet(file, chain, problem)
        trusted = self._chain_of(*use.trusted_by) if use and use.trusted_by else None
        is_api_server = use is not None and (use.component, use.flag) == (_API, "tls-cert-file")
        return Sighting(
            kind=Kind.FILE,
            target=self._target(file.path),
            purpose=use.purpose if use else "",
            chain=chain,
            usages=use.usages if use else (),
            names=(_IN_CLUSTER, *self.names()) if is_api_server else (),
            anchors=(self.anchors() or None) if is_api_server else trusted,
            is_bundle=use is not None and not use.usages,
            is_used=use is not None,
            has_key=self._has_key(file, chain),
            problem=problem,
        )

    def _kubelet(self, file: HostFile, chain: tuple[Certificate, ...], problem: str) -> Sighting:
        """A certificate of the kubelet's own folder."""
        is_client = "client" in file.path
        is_current = is_client or file.path == self.kubelet_file()
        anchors = self._chain_of(_API, "client-ca-file") if is_client else self.kubelet_anchors()
        return Sighting(
            kind=Kind.FILE,
            target=self._target(file.path),
            purpose="kubelet to the API server" if is_client else "kubelet",
            chain=chain,
            usages=_CLIENT if is_client else _SERVER,
            anchors=anchors,
            is_checked=is_client or anchors is not None,
            is_used=is_current,
            has_key=self._has_key(file, chain),
            problem=problem,
        )

    def _kubeconfig(self, file: HostFile) -> Iterator[Sighting]:
        chain, problem = self._chains[file.path]
        if chain or problem:
            yield Sighting(
                kind=Kind.KUBECONFIG,
                target=self._target(file.path),
                purpose="client of the API server",
                chain=chain,
                usages=_CLIENT,
                anchors=self._chain_of(_API, "client-ca-file"),
                has_key=self._has_key(file, chain),
                problem=problem,
            )
        trusted, trouble = self._authority(file)
        if trusted or trouble:
            yield Sighting(
                kind=Kind.BUNDLE,
                target=f"{self._target(file.path)} (authority)",
                purpose="authority of the API server",
                chain=trusted,
                is_bundle=True,
                problem=trouble,
            )

    def _authority(self, file: HostFile) -> tuple[tuple[Certificate, ...], str]:
        data = file.lines.get("certificate-authority-data", "")
        if data:
            return _decoded(data)
        return self._chains.get(file.lines.get("certificate-authority", ""), ((), ""))

    def _has_key(self, file: HostFile, chain: tuple[Certificate, ...]) -> bool | None:
        if not chain or not file.key_digest:
            return None
        return chain[0].key_digest == file.key_digest

    def _target(self, path: str) -> str:
        return f"{self._look.name}:{path}"


def _chain(file: HostFile) -> tuple[tuple[Certificate, ...], str]:
    """The certificates of a file, or why they cannot be read."""
    if "client-certificate-data" in file.lines:
        return _decoded(file.lines["client-certificate-data"])
    if file.is_kubeconfig or not file.is_readable:
        return (), ""
    return _parsed(file.pem)


def _decoded(data: str) -> tuple[tuple[Certificate, ...], str]:
    try:
        return _parsed(base64.b64decode(data, validate=True))
    except binascii.Error as error:
        return (), f"not base64: {error}"


def _parsed(pem: bytes) -> tuple[tuple[Certificate, ...], str]:
    try:
        return parse_pem(pem), ""
    except UnreadableError as error:
        return (), str(error)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
