"""Webhooks, definitions, nodes, certificates and backups that would stop an upgrade; pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from shipkeeper.engine.finding import Finding, Severity
from shipkeeper.model.duration import format_age
from shipkeeper.upgrade.check.evidence import Evidence, Hook
from shipkeeper.upgrade.component import Name, read_version
from shipkeeper.upgrade.policy import judge_etcd, lag
from shipkeeper.upgrade.versions import violations

_EXPIRES_SOON = timedelta(days=30)
_BACKUP_OLD = timedelta(days=1)
_NO_MASTERS = 24
_OF_MASTERS = frozenset({"master-label", "master-taint"})
# The minor whose kubelets do without it, and what. Sources: KEP-2221 (dockershim), k/k#139121
# (containerd 1.x), the changelogs of 1.25, 1.26, 1.27, 1.31 and 1.36 (volumes, seccomp),
# KEP-2067 (the label and taint of masters).
_TRAITS = {
    "flocker": (25, "volumes of flocker"),
    "quobyte": (25, "volumes of quobyte"),
    "storageos": (25, "volumes of storageos"),
    "glusterfs": (26, "volumes of glusterfs"),
    "cephfs": (31, "in-tree volumes of cephfs"),
    "rbd": (31, "in-tree volumes of rbd"),
    "gitRepo": (36, "volumes of gitRepo"),
    "seccomp-annotation": (27, "seccomp profiles given by annotations"),
    "master-label": (_NO_MASTERS, "label node-role.kubernetes.io/master on nodes"),
    "master-taint": (
        _NO_MASTERS,
        "taint for which tolerating node-role.kubernetes.io/master is enough",
    ),
}
_REMEDIES = {
    "seccomp-annotation": "use securityContext.seccompProfile",
    "master-label": "ask for node-role.kubernetes.io/control-plane, which is there since 1.20",
    "master-taint": "tolerate node-role.kubernetes.io/control-plane, too",
}
# etcd that kubeadm brings with a minor. Source: SupportedEtcdVersion of cmd/kubeadm.
_ETCD = {
    **dict.fromkeys((20, 21), (3, 4, 13)),
    **dict.fromkeys(range(22, 34), (3, 5, 24)),
    **dict.fromkeys((34, 35, 36), (3, 6, 8)),
    37: (3, 7, 0),
}


def judge_cluster(evidence: Evidence, target: int, now: datetime) -> Iterator[Finding]:
    """Everything but APIs and settings."""
    yield from _skew(evidence, target)
    yield from (each for hook in evidence.hooks for each in _hook(hook))
    yield from _definitions(evidence)
    yield from _nodes(evidence, target)
    yield from _traits(evidence, target)
    yield from _drains(evidence)
    yield from _etcd(evidence, target)
    yield from _time(evidence, now)


def _skew(evidence: Evidence, target: int) -> Iterator[Finding]:
    for each in violations(evidence.versions):
        if each.component == Name.KUBECTL:
            continue
        yield Finding(
            rule=each.rule,
            severity=Severity.HIGH,
            target=f"{each.component} {each.version}",
            message=each.message,
            evidence=(f"on {', '.join(each.where[:5])}",),
            remedy=each.remedy,
        )
    server = evidence.versions.server_version.minor
    for each in evidence.versions.of(Name.KUBELET):
        version = each.version
        if (
            version is not None
            and server < target
            and server + 1 - version.minor > lag(version.minor)
        ):
            yield Finding(
                rule="KubeletBlocksHop",
                severity=Severity.MEDIUM,
                target=f"Node {each.node}",
                message=f"its kubelet {each.text} is too old for a control plane of 1.{server + 1}",
                evidence=(f"its status tells kubelet {each.text}",),
                remedy=f"upgrade it to 1.{server} first; `shipkeeper upgrade plan` does so",
            )


def _hook(hook: Hook) -> Iterator[Finding]:
    """A webhook that fails closed and is asked about what the control plane needs."""
    if not (hook.catches_system or hook.catches_nodes):
        return
    caught = "pods of kube-system" if hook.catches_system else "nodes or leases"
    evidence = [f"{hook.name} fails closed and is called for {caught}"]
    if hook.down:
        severity = Severity.HIGH
        message = f"it blocks {caught}: {hook.down}"
    elif hook.backend_pods is not None and hook.backend_pods <= 1:
        severity = Severity.MEDIUM
        message = f"it blocks {caught} while its only pod moves"
        evidence.append(f"{hook.backend_pods} pod answers for it")
    else:
        severity = Severity.LOW
        message = f"it blocks {caught} whenever its backend does not answer"
    yield Finding(
        rule="BlockingWebhook",
        severity=severity,
        target=hook.target,
        message=message,
        evidence=tuple(evidence),
        remedy="leave kube-system out with its namespaceSelector, or let it fail open "
        "(failurePolicy: Ignore) for the time of the upgrade",
    )


def _definitions(evidence: Evidence) -> Iterator[Finding]:
    for each in evidence.definitions:
        stale = [version for version in each.stored if not each.served.get(version, False)]
        if stale:
            yield Finding(
                rule="StoredVersionNotServed",
                severity=Severity.MEDIUM,
                target=f"CustomResourceDefinition {each.name}",
                message=f"objects may be stored as {', '.join(stale)}, which is not served",
                evidence=(
                    f"status.storedVersions: {', '.join(each.stored)}",
                    f"served: {', '.join(name for name, on in each.served.items() if on)}",
                ),
                remedy=f"write every object again in {each.storage}, then remove the version from "
                "status.storedVersions",
            )
        if each.hook_down:
            yield Finding(
                rule="ConversionDown",
                severity=Severity.HIGH,
                target=f"CustomResourceDefinition {each.name}",
                message="its objects cannot be converted, so not even be listed or deleted",
                evidence=(each.hook_down,),
                remedy="bring the conversion webhook back",
            )
    for service in evidence.services:
        yield Finding(
            rule="ApiServiceDown",
            severity=Severity.MEDIUM,
            target=f"APIService {service.name}",
            message="an aggregated API does not answer: discovery and namespace deletion hang",
            evidence=(service.message,),
            remedy="bring its server back, or delete the APIService",
        )


def _nodes(evidence: Evidence, target: int) -> Iterator[Finding]:
    for node in evidence.nodes:
        yield from _runtime(node.name, node.status.node_info.container_runtime_version, target)
        if not node.is_ready:
            reason = node.ready.message if node.ready else "it never reported"
            yield Finding(
                rule="NodeNotReady",
                severity=Severity.HIGH if node.is_control_plane else Severity.MEDIUM,
                target=f"Node {node.name}",
                message="it is not Ready, and cannot be upgraded as it is",
                evidence=(reason,),
                remedy=f"mend it, or take it out of the cluster: kubectl delete node {node.name}",
            )
        for condition in node.status.conditions:
            if condition.type == "DiskPressure" and condition.status == "True":
                yield Finding(
                    rule="DiskPressure",
                    severity=Severity.MEDIUM,
                    target=f"Node {node.name}",
                    message="it has no room for new images and packages",
                    evidence=(condition.message or "DiskPressure is True",),
                    remedy="free space on it",
                )


def _runtime(node: str, runtime: str, target: int) -> Iterator[Finding]:
    name, _, text = runtime.partition("://")
    version = read_version(text)
    if name == "docker" and target >= 24:
        message, remedy = "1.24 and newer speak to no dockershim", "move it to containerd or CRI-O"
    elif name == "containerd" and version is not None and version.major < 2 and target >= 38:
        message, remedy = "1.38 and newer need containerd 2", "upgrade containerd to 2.x"
    else:
        return
    yield Finding(
        rule="RuntimeTooOld",
        severity=Severity.HIGH,
        target=f"Node {node}",
        message=message,
        evidence=(f"its container runtime is {runtime}",),
        remedy=remedy,
    )


def _traits(evidence: Evidence, target: int) -> Iterator[Finding]:
    for each in evidence.traits:
        minor, what = _TRAITS[each.trait]
        if minor <= target and (each.trait not in _OF_MASTERS or _takes_masters_away(evidence)):
            yield Finding(
                rule="RemovedFeature",
                severity=Severity.HIGH,
                target=each.target,
                message=f"1.{minor} and newer have no {what}",
                evidence=(each.where,),
                remedy=_REMEDIES.get(each.trait, "move to a CSI driver"),
            )


def _takes_masters_away(evidence: Evidence) -> bool:
    """Whether kubeadm will take away label and taint; where they still are later, they stay."""
    return bool(evidence.kubeadm_config) and evidence.versions.server_version.minor < _NO_MASTERS


def _drains(evidence: Evidence) -> Iterator[Finding]:
    for node, verdict in evidence.obstacles:
        yield Finding(
            rule=verdict.reason,
            severity=Severity.HIGH if verdict.blocks else Severity.LOW,
            target=verdict.target,
            message=f"a drain {'fails' if verdict.blocks else 'waits'}: {verdict.message}",
            evidence=(f"foretold for {node} as `shipkeeper drain` does",),
            remedy=verdict.remedy,
        )


def _etcd(evidence: Evidence, target: int) -> Iterator[Finding]:
    for each in evidence.versions.of(Name.ETCD):
        version = each.version
        if version is None:
            continue
        now = (version.major, version.minor, version.patch)
        following = min(evidence.versions.server_version.minor + 1, target, max(_ETCD))
        wanted = _ETCD.get(following, now)
        rule = judge_etcd(now, wanted) if now < wanted else None
        if rule is not None:
            yield Finding(
                rule=rule.name,
                severity=Severity.HIGH,
                target=f"etcd {each.node or each.pod}",
                message=f"etcd {each.text} breaks the rule that {rule.says}",
                evidence=(f"its image is tagged {each.text}",),
                remedy="take etcd to the last patch of its minor version first",
            )


def _time(evidence: Evidence, now: datetime) -> Iterator[Finding]:
    for each in evidence.certificates:
        left = each.ends - now
        if left < _EXPIRES_SOON:
            has_ended = left <= timedelta(0)
            yield Finding(
                rule="CertificateExpires",
                severity=Severity.HIGH if has_ended else Severity.MEDIUM,
                target=f"Certificate {each.name}",
                message="it has expired" if has_ended else f"it expires in {format_age(left)}",
                evidence=(f"it ends at {each.ends:%Y-%m-%d %H:%M} UTC",),
                remedy="kubeadm certs renew all, or let the upgrade renew it soon",
            )
    if evidence.backup_at is not None and now - evidence.backup_at > _BACKUP_OLD:
        yield Finding(
            rule="BackupOld",
            severity=Severity.MEDIUM,
            target="Backup latest",
            message=f"the last backup is {format_age(now - evidence.backup_at)} old",
            evidence=(f"it was made at {evidence.backup_at:%Y-%m-%d %H:%M} UTC",),
            remedy="shipkeeper backup create",
        )
