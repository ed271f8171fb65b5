"""What must be so before a stage of a rotation begins. Pure."""

from collections.abc import Iterator, Sequence
from typing import Final

from shipkeeper.access.certs.chain import signed
from shipkeeper.access.certs.renew.leaves import KUBELET, Authority, Signer, signers_of
from shipkeeper.access.certs.renew.plan import Seen, unfinished
from shipkeeper.access.certs.renew.profile import key_words, obstacles
from shipkeeper.access.certs.rotate.cluster import ClusterSeen
from shipkeeper.access.certs.rotate.leaves import RESTARTS, moving
from shipkeeper.access.certs.rotate.outlook import CLUSTER, Place, Request
from shipkeeper.access.certs.rotate.standing import Stage
from shipkeeper.engine.verdict import Effect, Verdict

_NAMED: Final = 5


def verdicts_of(
    cluster: ClusterSeen, places: Sequence[Place], request: Request
) -> Iterator[Verdict]:
    """Whatever stands in the way of a stage, on its hosts and in the cluster."""
    yield from _of_hosts(places, request)
    yield from _of_cluster(cluster, places, request)


def _of_hosts(places: Sequence[Place], request: Request) -> Iterator[Verdict]:
    for place in places:
        host = f"host/{place.seen.host}"
        yield from unfinished(place.seen)
        if "openssl" not in place.seen.tools:
            yield _block(host, "NoOpenssl", "there is no openssl", "install it there")
        if KUBELET in RESTARTS[request.authority] and "systemctl" not in place.seen.tools:
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
        for leaf in moving(seen.look, request.authority, place.kept.old or signer.certificate):
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
