"""The plan of one stage of a rotation: what changes on every host, in which order. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from shipkeeper.access.certs.certificate import Certificate
from shipkeeper.access.certs.renew.leaves import (
    KUBELET,
    Authority,
    Leaf,
    signers_of,
)
from shipkeeper.access.certs.renew.plan import actions_of
from shipkeeper.access.certs.renew.site import Renewed, Site, server_of
from shipkeeper.access.certs.rotate.cluster import ClusterSeen
from shipkeeper.access.certs.rotate.leaves import RESTARTS, moving
from shipkeeper.access.certs.rotate.outlook import CLUSTER, Place, Request, RotationOutlook
from shipkeeper.access.certs.rotate.preflight import verdicts_of
from shipkeeper.access.certs.rotate.standing import Stage, next_stage, standing_of
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.errors import UsageError

PROCEDURE: Final = "rotate-ca"
END: Final = "end"
"""The step that removes what a way back would need."""
_AT_ONCE: Final = 10
_WORDS = {
    Stage.TRUST: "trust the old authority and the new one",
    Stage.MOVE: "be certified by the new authority, and trust both",
    Stage.DROP: "trust the new authority alone",
}


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
    if set(found) == {None, Stage.DROP} and _is_one_authority(places, authority):
        raise UsageError(
            f"the rotation is through, but what it kept is still on {', '.join(found[Stage.DROP])}",
            reason="KeptAfterwards",
            hint=f"remove /etc/kubernetes/rotate-{authority} there; nothing else is left to do",
        )
    if len(found) != 1:
        words = "; ".join(f"{key or 'before'}: {', '.join(names)}" for key, names in found.items())
        raise UsageError(
            f"the hosts of the control plane are not at one stage ({words})",
            reason="StagesDiffer",
            hint="name every host of the control plane; put an unfinished stage back with --back",
        )
    return next(iter(found))


def _is_one_authority(places: Sequence[Place], authority: Authority) -> bool:
    """Whether the control plane's hosts are signed by the same certificate."""
    hosts = [each.seen.look for each in places if each.is_control_plane]
    signers = [signers_of(each).get(authority) for each in hosts]
    return len({each.certificate.fingerprint if each else "" for each in signers}) == 1


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
    outlook = msgspec.structs.replace(_outlook(ordered, request, now), server=cluster.server)
    return Plan(
        procedure=PROCEDURE,
        request=msgspec.to_builtins(request),
        steps=_steps(outlook, ordered),
        verdicts=tuple(verdicts_of(cluster, ordered, request)),
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
    wanted = RESTARTS[request.authority]
    runs = tuple(
        each
        for each in wanted
        if seen.look.flags(each) is not None or (each == KUBELET and seen.look.kubelet_config)
    )
    leaves: tuple[Renewed, ...] = ()
    if request.stage is Stage.MOVE:
        leaves = tuple(_renewed(each) for each in moving(place.seen.look, request.authority, old))
    return Site(
        host=seen.host,
        how="openssl",
        leaves=leaves,
        restarts=runs,
        watched=seen.watched,
        server=server_of(seen.look),
        was_healthy=seen.is_healthy,
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
        id=END,
        action=END,
        target=f"authority/{outlook.authority}",
        effect=f"remove {outlook.keep} from the hosts: there is no way back from here",
        after=(after,),
    )
