"""The plan of a recovery: what happens on all control-plane hosts, in which order. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.errors import UsageError
from shipkeeper.etcd.recover.manifest import edit_manifest
from shipkeeper.etcd.static_pod import decode_static_pod

PROCEDURE: Final = "recover"
NO_RETURN: Final = "start-apiserver"
"""From this step on there is no way back: the restored cluster takes writes."""
_TARGET: Final = "etcd/cluster"
_LOG_BYTES: Final = 64_000_000
_A_BILLION: Final = 1_000_000_000
_PER_SECOND: Final = 10_000


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A control-plane host: its manifest of etcd, the free bytes beside the data."""

    host: str
    manifest: str
    free: int
    is_healthy: bool


class Site(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is to become of the member on one host."""

    host: str
    name: str
    peer_urls: tuple[str, ...]
    manifest: str
    old_data: str
    new_data: str
    health_host: str
    health_port: int
    was_healthy: bool


class RecoverOutlook(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The members' places, where manifests lie aside, and the new cluster's words for itself.

    `bump_revision` is by how much the restored revision is above the snapshot's.
    """

    sites: tuple[Site, ...]
    aside: str
    token: str
    initial_cluster: str
    point_of_no_return: str = NO_RETURN
    bump_revision: int = _A_BILLION


def outlook_of(plan: Plan) -> RecoverOutlook:
    """What a plan of this procedure foretells."""
    return msgspec.convert(plan.outlook, RecoverOutlook)


def plan_recovery(seen: Sequence[Seen], request: dict[str, Any], size: int, now: datetime) -> Plan:
    """Plan the restore of a snapshot of `size` bytes on every member's host."""
    stamp = f"{now:%Y%m%d-%H%M%S}"
    token = f"etcd-cluster-{stamp}"
    sites = tuple(_site(each, stamp, token) for each in seen)
    _require_distinct(sites)
    initial = ",".join(f"{site.name}={url}" for site in sites for url in site.peer_urls)
    outlook = RecoverOutlook(
        sites=sites,
        aside=f"/etc/kubernetes/recover-{stamp}",
        token=token,
        initial_cluster=initial,
        bump_revision=_bump(now),
    )
    return Plan(
        procedure=PROCEDURE,
        request=request,
        steps=_steps(sites, outlook),
        verdicts=(*_members_missing(seen, sites), *_no_room(seen, size + _LOG_BYTES)),
        outlook=msgspec.to_builtins(outlook),
    )


def _bump(now: datetime) -> int:
    """Lead above every revision that anybody may have seen, also after a recovery before this one.

    The same snapshot may be recovered twice: raised by the same number, it would lead to revisions
    that watchers of the first recovered cluster have already passed, and they would miss what
    changes until then. So the time is the measure; no etcd writes as often as it counts. It is
    added, not aimed at: who recovered before may have had a clock that was ahead.
    """
    return max(int(now.timestamp() * _PER_SECOND), _A_BILLION)


def _site(seen: Seen, stamp: str, token: str) -> Site:
    pod = decode_static_pod(seen.manifest)
    new_data = f"{pod.data_path.rstrip('/')}-{stamp}"
    metrics = urlsplit(pod.flag("listen-metrics-urls").split(",")[0])
    if metrics.scheme != "http" or not metrics.hostname:
        raise UsageError(
            f"etcd on {seen.host} has no --listen-metrics-urls over http",
            reason="NoHealthPort",
            hint="give it http://127.0.0.1:2381, as kubeadm does: its health is read there",
        )
    return Site(
        host=seen.host,
        name=pod.flag("name", "default"),
        peer_urls=tuple(pod.flag("initial-advertise-peer-urls").split(",")),
        manifest=edit_manifest(seen.manifest, new_data, token),
        old_data=pod.data_path,
        new_data=new_data,
        health_host=metrics.hostname,
        health_port=metrics.port or 2381,
        was_healthy=seen.is_healthy,
    )


def _require_distinct(sites: Sequence[Site]) -> None:
    if len({site.name for site in sites}) < len(sites):
        raise UsageError(
            "two of the hosts have a member of the same name",
            reason="SameMember",
            hint="name each control-plane host once with --host",
        )


def _members_missing(seen: Sequence[Seen], sites: Sequence[Site]) -> list[Verdict]:
    """Members that a manifest tells of, but whose host is not named."""
    known = {site.name for site in sites}
    told = {
        word.partition("=")[0]
        for each in seen
        for word in decode_static_pod(each.manifest).flag("initial-cluster").split(",")
        if word
    }
    return [
        Verdict(
            target=f"member/{name}",
            effect=Effect.BLOCK,
            reason="MemberLeftOut",
            message=f"a manifest tells of member {name}, whose host is not named",
            remedy="name every control-plane host with --host, or take the member out of the "
            "manifests first if its host is gone for good",
        )
        for name in sorted(told - known)
    ]


def _no_room(seen: Sequence[Seen], needed: int) -> list[Verdict]:
    return [
        Verdict(
            target=f"host/{each.host}",
            effect=Effect.BLOCK,
            reason="NoRoom",
            message=f"{each.host} has {each.free >> 20} MiB free in /var/lib, "
            f"the restored data takes {needed >> 20} MiB",
            remedy="free space there",
        )
        for each in seen
        if each.free < needed
    ]


def _steps(sites: Sequence[Site], outlook: RecoverOutlook) -> tuple[Step, ...]:
    hosts = ", ".join(site.host for site in sites)
    data = ", ".join(dict.fromkeys(site.new_data for site in sites))
    effects = (
        ("prepare", f"make {outlook.aside} on {hosts}"),
        ("stage", f"restore the snapshot for each member, bring it to {data}, compare its sha256"),
        ("edit", "write etcd's manifest with hostPath and --initial-cluster-token of the new data"),
        ("stop-apiserver", "move kube-apiserver's manifest aside, wait for its processes to end"),
        ("stop-etcd", "move etcd's manifest aside, wait for its processes to end"),
        ("save", "save each old database here as it was left, where there is one"),
        ("start-etcd", "put the edited manifest in place, wait for etcd's processes"),
        ("etcd-healthy", "wait until every member answers a read that needs the quorum"),
        (
            NO_RETURN,
            "put kube-apiserver's manifest back, with an annotation, wait until each is ready",
        ),
        ("prove", "write, read and watch an object; see controllers act on it"),
    )
    steps: list[Step] = []
    for action, effect in effects:
        before = tuple(step.id for step in steps)
        is_final = NO_RETURN in (action, *before)
        steps.append(
            Step(
                id=action,
                action=action,
                target=_TARGET,
                effect=f"POINT OF NO RETURN: {effect}" if action == NO_RETURN else effect,
                undo="" if is_final else "the old manifests and the old data are used again",
                after=before[-1:],
                rollback=() if is_final else tuple(reversed(before)),
            )
        )
    return tuple(steps)
