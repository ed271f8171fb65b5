"""The plan of one stage of a rotation: what changes on every host, in which order. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from shipkeeper.access.certs.certificate import Certificate
from shipkeeper.access.certs.chain import signed
from shipkeeper.access.certs.host import HostLook
from shipkeeper.access.certs.renew.leaves import (
    API_SERVER,
    CONTROLLER_MANAGER,
    ETCD,
    KUBELET,
    SCHEDULER,
    Authority,
    Leaf,
    Signer,
    chain_of,
    leaves_of,
    signers_of,
)
from shipkeeper.access.certs.renew.plan import Seen, actions_of
from shipkeeper.access.certs.renew.profile import key_words, obstacles
from shipkeeper.access.certs.renew.site import Renewed, Site, server_of
from shipkeeper.access.certs.rotate.cluster import ClusterSeen
from shipkeeper.access.certs.rotate.standing import Kept, Stage, next_stage, standing_of
from shipkeeper.access.certs.uses import KUBELET_PKI
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.errors import UsageError

PROCEDURE: Final = "rotate-ca"
CLUSTER: Final = "cluster"
_AT_ONCE: Final = 10
_NAMED: Final = 5
_RESTARTS = {
    Authority.KUBERNETES: (API_SERVER, CONTROLLER_MANAGER, SCHEDULER, KUBELET),
    Authority.ETCD: (ETCD, API_SERVER),
    Authority.FRONT_PROXY: (API_SERVER, CONTROLLER_MANAGER),
}
KUBELET_FILES = (
    f"{KUBELET_PKI}/kubelet-client-current.pem",
    f"{KUBELET_PKI}/kubelet-server-current.pem",
)
_WORDS = {
    Stage.TRUST: "trust the old authority and the new one",
    Stage.MOVE: "be certified by the new authority, and trust both",
    Stage.DROP: "trust the new authority alone",
}


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A host of the cluster: its Node's name, what was seen of it, and what it keeps."""

    node: str
    seen: Seen
    kept: Kept

    @property
    def is_control_plane(self) -> bool:
        """Whether an API server, or etcd, runs on it."""
        return self.seen.look.flags(API_SERVER) is not None


class RotationOutlook(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One stage: the hosts in their order, the run's folder on each, and the rotation's.

    `maker` is the host that makes the new authority, and signs what has no key of it.
    """

    authority: Authority
    stage: Stage
    sites: tuple[Site, ...]
    nodes: dict[str, str]
    folder: str
    keep: str
    maker: str
    name: str
    old: str
    new: str = ""
    point_of_no_return: str = ""


class Request(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was asked for. timeout: how many seconds each wait may take."""

    authority: Authority
    stage: Stage
    hosts: tuple[str, ...]
    timeout: float = 180.0
    accept_old_pods: bool = False


def outlook_of(plan: Plan) -> RotationOutlook:
    """What a plan of this procedure foretells."""
    return msgspec.convert(plan.outlook, RotationOutlook)


def request_of(plan: Plan) -> Request:
    """What a plan of this procedure was asked for."""
    return msgspec.convert(plan.request, Request)


def standing(places: Sequence[Place], authority: Authority) -> Stage | None:
    """The stage that the control plane stands at; UsageError if its hosts do not agree."""
    found: dict[Stage | None, list[str]] = {}
    for each in places:
        if each.is_control_plane:
            try:
                reached = standing_of(each.seen.look, authority, each.kept)
            except ValueError as error:
                raise UsageError(
                    f"{each.seen.host}: {error}",
                    reason="RotationUnclear",
                    hint="a rotation was begun by other means: end it by those",
                ) from error
            found.setdefault(reached, []).append(each.seen.host)
    if len(found) != 1:
        words = "; ".join(f"{key or 'before'}: {', '.join(names)}" for key, names in found.items())
        raise UsageError(
            f"the hosts of the control plane are not at one stage ({words})",
            reason="StagesDiffer",
            hint="name every host of the control plane; put an unfinished stage back with --abort",
        )
    return next(iter(found))


def plan_stage(
    places: Sequence[Place], cluster: ClusterSeen, request: Request, now: datetime
) -> Plan:
    """Plan the next stage of a rotation; UsageError if another was asked for."""
    following = next_stage(standing(places, request.authority))
    if request.stage is not following:
        raise UsageError(
            f"stage {request.stage} cannot come now: {following} does",
            reason="OtherStage",
            hint="one stage comes after the other; leave --stage out",
        )
    # As in a renewal, the leader of etcd is the last of the control plane.
    ordered = sorted(places, key=lambda each: (not each.is_control_plane, each.seen.leads))
    outlook = _outlook(ordered, request, now)
    return Plan(
        procedure=PROCEDURE,
        request=msgspec.to_builtins(request),
        steps=_steps(outlook, ordered),
        verdicts=(*_verdicts(ordered, request), *_of_cluster(cluster, ordered, request)),
        limits={"workers": _AT_ONCE},
        outlook=msgspec.to_builtins(outlook),
    )


def _outlook(places: Sequence[Place], request: Request, now: datetime) -> RotationOutlook:
    first = places[0]
    signer = signers_of(first.seen.look)[request.authority]
    old = first.kept.old or signer.certificate
    name = old.common_name.partition(" ")[0] or request.authority
    sites = tuple(_site(each, request, old) for each in places)
    return RotationOutlook(
        authority=request.authority,
        stage=request.stage,
        sites=tuple(each for each in sites if each.restarts),
        nodes={each.seen.host: each.node for each in places},
        folder=f"/etc/kubernetes/rotate-{request.stage}-{now:%Y%m%d-%H%M%S}",
        keep=f"/etc/kubernetes/rotate-{request.authority}",
        maker=first.seen.host,
        name=f"{name} {now:%Y-%m-%d}",
        old=old.fingerprint,
        new=first.kept.new.fingerprint if first.kept.new else "",
    )


def _site(place: Place, request: Request, old: Certificate) -> Site:
    seen = place.seen
    wanted = _RESTARTS[request.authority]
    runs = tuple(
        each
        for each in wanted
        if seen.look.flags(each) is not None or (each == KUBELET and seen.look.kubelet_config)
    )
    leaves: tuple[Renewed, ...] = ()
    if request.stage is Stage.MOVE:
        leaves = tuple(_renewed(each) for each in moving(place, request.authority, old))
    return Site(
        host=seen.host,
        how="openssl",
        leaves=leaves,
        restarts=runs,
        watched=seen.watched,
        server=server_of(seen.look),
        was_healthy=seen.is_healthy,
    )


def moving(place: Place, authority: Authority, old: Certificate) -> Iterator[Leaf]:
    """The certificates of a host that the old authority signed, those of its kubelet, too."""
    for leaf in leaves_of(place.seen.look):
        if leaf.authority is authority and signed(leaf.certificate, old):
            yield leaf
    yield from kubelet_leaves_of(place.seen.look, authority, old)


def kubelet_leaves_of(look: HostLook, authority: Authority, old: Certificate) -> Iterator[Leaf]:
    """The kubelet's certificates that the old authority signed: each in a file with its key."""
    for path in KUBELET_FILES if authority is Authority.KUBERNETES else ():
        file = look.file(path)
        chain = chain_of(file) if file is not None else ()
        if chain and signed(chain[0], old):
            yield Leaf(
                name=path.rpartition("/")[2],
                authority=authority,
                component=KUBELET,
                path=path,
                certificate=chain[0],
                is_kubeconfig=False,
            )


def _renewed(leaf: Leaf) -> Renewed:
    return Renewed(
        name=leaf.name,
        authority=leaf.authority.value,
        path=leaf.path,
        subject=leaf.certificate.subject,
        not_after=leaf.certificate.not_after.isoformat(timespec="seconds"),
        sha256=leaf.certificate.fingerprint,
    )


def _steps(outlook: RotationOutlook, places: Sequence[Place]) -> tuple[Step, ...]:
    steps: list[Step] = []
    control = {each.seen.host for each in places if each.is_control_plane}
    if outlook.stage is Stage.TRUST:
        steps.append(_authority(outlook, sorted(control)))
    made = tuple(each.id for each in steps)
    staged = {each.host: _staging(outlook, each, made) for each in outlook.sites}
    steps += staged.values()
    before = tuple(each.id for each in staged.values())
    last: list[str] = []
    for index, site in enumerate(outlook.sites):
        is_worker = site.host not in control
        unused = [staged[each.host].id for each in outlook.sites[index:]]
        own = tuple(
            _switching(
                action, site, effect, (staged[site.host].id,) if is_worker else tuple(unused)
            )
            for action, effect in actions_of(site)
        )
        chained = _chained(own, before, is_worker=is_worker)
        steps += chained
        last.append(chained[-1].id)
        if not is_worker:
            before = (chained[-1].id,)
    steps.append(_publication(outlook, tuple(last)))
    if outlook.stage is Stage.DROP:
        steps.append(_end(outlook, steps[-1].id))
    return tuple(steps)


def _chained(own: Sequence[Step], before: tuple[str, ...], *, is_worker: bool) -> list[Step]:
    """Steps one after the other; workers side by side, so many at a time."""
    found: list[Step] = []
    for index, step in enumerate(own):
        is_first, is_last = index == 0, index == len(own) - 1
        found.append(
            msgspec.structs.replace(
                step,
                after=before if is_first else (found[-1].id,),
                claims={"workers": 1} if is_worker and is_first else {},
                releases=(found[0].id,) if is_worker and is_last and found else (),
            )
        )
    return found


def _authority(outlook: RotationOutlook, hosts: Iterable[str]) -> Step:
    return Step(
        id="authority",
        action="authority",
        target=f"authority/{outlook.authority}",
        effect=f"make CN={outlook.name} on {outlook.maker}, signed by itself and by the old one; "
        f"bring its key, encrypted for each, to {', '.join(hosts)}",
        undo="it is removed",
    )


def _staging(outlook: RotationOutlook, site: Site, made: tuple[str, ...]) -> Step:
    names = ", ".join(each.name for each in site.leaves)
    more = f"; make {names}, and compare them" if names else ""
    return Step(
        id=f"stage/{site.host}",
        action="stage",
        target=f"host/{site.host}",
        effect=f"write what lets it {_WORDS[outlook.stage]}, beside what is in use{more}",
        undo="what was there is put back, and runs again",
        after=made,
        rollback=made,
    )


def _switching(action: str, site: Site, effect: str, rollback: tuple[str, ...]) -> Step:
    return Step(
        id=f"{action}/{site.host}",
        action=action,
        target=f"host/{site.host}",
        effect=effect,
        undo="what was there is put back, and runs again",
        rollback=rollback,
    )


def _publication(outlook: RotationOutlook, after: tuple[str, ...]) -> Step:
    effects = {
        Authority.KUBERNETES: "see kube-root-ca.crt of every namespace, token Secrets and "
        "kube-public/cluster-info tell of it, and every kubelet renew its Lease",
        Authority.ETCD: "see every etcd and API server healthy",
        Authority.FRONT_PROXY: "see kube-system/extension-apiserver-authentication tell of it",
    }
    return Step(
        id="publish",
        action="publish",
        target=CLUSTER,
        effect=effects[outlook.authority],
        undo="kube-public/cluster-info as it was; the rest follows the hosts",
        after=after,
    )


def _end(outlook: RotationOutlook, after: str) -> Step:
    return Step(
        id="end",
        action="end",
        target=f"authority/{outlook.authority}",
        effect=f"remove {outlook.keep} from the hosts: there is no way back from here",
        after=(after,),
    )


def _verdicts(places: Sequence[Place], request: Request) -> Iterator[Verdict]:
    for place in places:
        host = f"host/{place.seen.host}"
        if "openssl" not in place.seen.tools:
            yield _block(host, "NoOpenssl", "there is no openssl", "install it there")
        if KUBELET in _RESTARTS[request.authority] and "systemctl" not in place.seen.tools:
            yield _block(host, "NoSystemd", "there is no systemctl to restart its kubelet by", "")
        if place.is_control_plane:
            yield from _of_control_plane(place, host, request)


def _of_control_plane(place: Place, host: str, request: Request) -> Iterator[Verdict]:
    seen = place.seen
    if not seen.is_healthy:
        yield _block(
            host,
            "NotHealthy",
            "etcd or the API server does not answer well now",
            "mend it first; if its certificates have ended: shipkeeper certs renew",
        )
    signer = signers_of(seen.look).get(request.authority)
    if signer is None or not signer.has_key:
        yield _block(
            host,
            "NoAuthorityKey",
            f"the key of the authority {request.authority} is not there",
            "rotate it where that key is",
        )
        return
    if _is_shared(seen, signer):
        yield _block(
            host,
            "SharedAuthority",
            f"{signer.path} is another authority, too",
            "give each an authority of its own first",
        )
    if key_words(signer.certificate) is None:
        yield _block(host, "CannotBeMade", f"its key is {signer.certificate.key}", "")
    if request.stage is Stage.MOVE:
        for leaf in moving(place, request.authority, place.kept.old or signer.certificate):
            for why in obstacles(leaf.certificate):
                target = f"certificate/{seen.host}:{leaf.path}"
                yield _block(target, "CannotBeMade", why, "make it by hand")


def _is_shared(seen: Seen, signer: Signer) -> bool:
    others = signers_of(seen.look).values()
    digests = [each.certificate.key_digest for each in others]
    return digests.count(signer.certificate.key_digest) > 1


def _of_cluster(
    cluster: ClusterSeen, places: Sequence[Place], request: Request
) -> Iterator[Verdict]:
    """What must be so before the old authority is dropped."""
    if request.authority is not Authority.KUBERNETES or request.stage is not Stage.DROP:
        return
    new = places[0].kept.new
    if new is None:
        return
    if cluster.trusted and new.fingerprint not in cluster.trusted:
        yield _block(
            "kubeconfig",
            "TrustsOldAuthority",
            "this kubeconfig trusts the old authority alone: it would be locked out",
            "take /etc/kubernetes/admin.conf of a control-plane host, and use it with --kubeconfig",
        )
    if cluster.own is not None and not signed(cluster.own, new):
        yield _block(
            "kubeconfig",
            "SignedByOldAuthority",
            "this kubeconfig's own certificate is not of the new authority: it would be locked out",
            "take /etc/kubernetes/admin.conf of a control-plane host, and use it with --kubeconfig",
        )
    stale = cluster.pods_before(max(each.kept.published for each in places))
    if stale:
        named = ", ".join(stale[:_NAMED]) + (", …" if len(stale) > _NAMED else "")
        yield Verdict(
            target=CLUSTER,
            effect=Effect.WARN if request.accept_old_pods else Effect.BLOCK,
            reason="PodsTrustOldAuthority",
            message=f"{len(stale)} pods with tokens run since before the new authority was told "
            f"to them, and may know the old one alone: {named}",
            remedy="restart them (kubectl rollout restart …), or, if none of them needs the API "
            "server, accept that with --accept-old-pods",
        )


def _block(target: str, reason: str, message: str, remedy: str) -> Verdict:
    return Verdict(
        target=target, effect=Effect.BLOCK, reason=reason, message=message, remedy=remedy
    )


def hosts_of(outlook: RotationOutlook) -> Mapping[str, Site]:
    """The sites by their hosts, in their order."""
    return {each.host: each for each in outlook.sites}
