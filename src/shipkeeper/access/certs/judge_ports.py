"""What is wrong with a port, beyond its certificate; pure."""

from collections.abc import Iterable, Iterator

from shipkeeper.access.certs.survey import Port, Presented, Role, Serving
from shipkeeper.engine.finding import Finding, Severity

_OLD = frozenset({"SSLv3", "TLSv1.0", "TLSv1.1"})
_SKEW_SECONDS = 30.0
# What must not be answered to a stranger, and how bad it is if it is.
_GUARDED = {
    Role.API_SERVER: Severity.HIGH,
    Role.ETCD: Severity.HIGH,
    Role.ETCD_PEER: Severity.HIGH,
    Role.KUBELET: Severity.HIGH,
    Role.CONTROLLER_MANAGER: Severity.MEDIUM,
    Role.SCHEDULER: Severity.MEDIUM,
    Role.API_SERVICE: Severity.HIGH,
}
_HOW = {
    Role.API_SERVER: "--anonymous-auth=false, or take the rights of system:unauthenticated back",
    Role.ETCD: "--client-cert-auth with --trusted-ca-file",
    Role.ETCD_PEER: "--peer-client-cert-auth with --peer-trusted-ca-file",
    Role.KUBELET: "authentication.anonymous.enabled: false, authorization.mode: Webhook",
    Role.CONTROLLER_MANAGER: "--authorization-always-allow-paths without /metrics",
    Role.SCHEDULER: "--authorization-always-allow-paths without /metrics",
    Role.API_SERVICE: "delegated authentication, as the aggregation layer has it",
}


def judge_port(port: Port, seen: Presented) -> Iterator[Finding]:
    """Everything about one port but its certificate."""
    if not seen.is_open:
        return
    if seen.is_plain:
        yield _plain(port, seen)
    elif port.marker:
        return
    elif seen.error:
        yield _finding(
            "TlsBroken",
            Severity.HIGH,
            port,
            "no TLS handshake succeeds",
            seen.error,
            remedy="see the log of who listens there",
        )
    elif not seen.chain:
        yield _finding(
            "Unreadable",
            Severity.HIGH,
            port,
            "what it presents cannot be read as a certificate",
            port.place,
            remedy="issue it anew",
        )
    yield from _old(port, seen)
    yield from _anonymous(port, seen)
    if seen.skew is not None and abs(seen.skew) > _SKEW_SECONDS:
        ahead = "ahead of" if seen.skew > 0 else "behind"
        yield _finding(
            "ClockSkew",
            Severity.MEDIUM,
            port,
            f"its clock is {abs(seen.skew):.0f} s {ahead} ours",
            "the Date of its answer",
            remedy="have its clock set by NTP: new certificates are not valid yet where it lags",
        )


def _plain(port: Port, seen: Presented) -> Finding:
    path, status = next(iter(seen.statuses.items()))
    return _finding(
        "NoTls",
        Severity.HIGH,
        port,
        "it answers without TLS",
        f"http://{port.place}{path} is answered {status}",
        remedy="close it, or give it a certificate",
    )


def _old(port: Port, seen: Presented) -> Iterator[Finding]:
    old = [each for each in seen.versions if each in _OLD]
    if old:
        yield _finding(
            "OldTls",
            Severity.MEDIUM,
            port,
            f"it still speaks {', '.join(old)}",
            f"a greeting in {old[-1]} was answered",
            remedy="require TLS 1.2 (--tls-min-version=VersionTLS12)",
        )
    if seen.weak_ciphers:
        yield _finding(
            "WeakCipher",
            Severity.MEDIUM,
            port,
            f"it takes {', '.join(seen.weak_ciphers[:3])}",
            f"a greeting that offers {len(seen.weak_ciphers)} weak ciphers alone is answered",
            remedy="leave them out of --tls-cipher-suites",
        )


def _anonymous(port: Port, seen: Presented) -> Iterator[Finding]:
    severity = _GUARDED.get(port.role)
    open_paths = [path for path, status in seen.statuses.items() if status == 200]
    if severity is None or seen.is_plain or port.marker or not open_paths:
        return
    yield _finding(
        "AnonymousAccess",
        severity,
        port,
        f"it answers anybody: {', '.join(each.partition('?')[0] for each in open_paths)}",
        *(f"GET https://{port.place}{path} without credentials: 200" for path in open_paths),
        remedy=f"set {_HOW[port.role]}",
    )


def judge_serving(
    servings: Iterable[Serving], ports: Iterable[tuple[Port, Presented]]
) -> Iterator[Finding]:
    """Processes that still present another certificate than their file holds."""
    presented = {port.target: (port, seen) for port, seen in ports}
    for each in servings:
        port, seen = presented.get(each.port, (None, None))
        if port is None or seen is None or not seen.chain:
            continue
        leaf = seen.chain[0]
        if leaf.fingerprint != each.leaf.fingerprint:
            yield _finding(
                "StaleProcess",
                Severity.HIGH,
                port,
                f"it still presents another certificate than {each.file}",
                f"presented: serial {leaf.serial}, ends {leaf.not_after:%Y-%m-%d}",
                f"in the file: serial {each.leaf.serial}, ends {each.leaf.not_after:%Y-%m-%d}",
                remedy="restart the process (a static pod: move its manifest away and back)",
            )


def _finding(
    rule: str, severity: Severity, port: Port, message: str, *evidence: str, remedy: str
) -> Finding:
    return Finding(
        rule=rule,
        severity=severity,
        target=port.target,
        message=message,
        evidence=evidence,
        who=(port.role.value,),
        remedy=remedy,
    )
