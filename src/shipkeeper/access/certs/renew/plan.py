"""The plan of a renewal: which certificates, on which hosts, in which order. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from shipkeeper.access.certs.certificate import Certificate
from shipkeeper.access.certs.chain import signed
from shipkeeper.access.certs.host import HostLook
from shipkeeper.access.certs.renew.leaves import (
    API_SERVER,
    ETCD,
    NAMES,
    Leaf,
    leaves_of,
    signers_of,
)
from shipkeeper.access.certs.renew.profile import LIFETIME, obstacles
from shipkeeper.access.certs.renew.site import STATIC_PODS, Renewed, Site, Watched, server_of
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.errors import UsageError

PROCEDURE: Final = "renew"
KUBEADM, OPENSSL = "kubeadm", "openssl"
_FREE_KIB = 8 << 10
_WATCHED_FIRST = (ETCD, API_SERVER)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A host as it was looked at; `kubeadm` is the command that renews by it, empty without.

    `away` are manifests that an unfinished run has taken away, where they lie now. `is_hidden` says
    whether its API server tells nobody unknown how it is, `leads` whether its etcd is the leader.
    """

    host: str
    look: HostLook
    tools: frozenset[str]
    kubeadm: str
    has_manifests: bool
    free: int
    away: tuple[str, ...] = ()
    watched: tuple[Watched, ...] = ()
    is_hidden: bool = False
    leads: bool = False

    @property
    def is_healthy(self) -> bool:
        """Whether its etcd and API server answered, and well."""
        first = [each for each in self.watched if each.component in _WATCHED_FIRST]
        return bool(first) and all(each.was_well for each in first)


class RenewOutlook(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The hosts in their order, and the folder on each that keeps what was there.

    `server` is the URL at which the cluster was asked for its hosts; empty if they were named.
    """

    sites: tuple[Site, ...]
    folder: str
    kubeadm: dict[str, str]
    server: str = ""

    def site(self, host: str) -> Site:
        """The site of a host."""
        return next(each for each in self.sites if each.host == host)


class Request(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was asked for: names of certificates (none for all), how, on which hosts.

    timeout: how many seconds each wait on a host may take.
    """

    hosts: tuple[str, ...]
    names: tuple[str, ...] = ()
    how: str = ""
    timeout: float = 180.0


def outlook_of(plan: Plan) -> RenewOutlook:
    """What a plan of this procedure foretells."""
    return msgspec.convert(plan.outlook, RenewOutlook)


def request_of(plan: Plan) -> Request:
    """What a plan of this procedure was asked for."""
    return msgspec.convert(plan.request, Request)


def plan_renewal(
    seen: Sequence[Seen], request: Request, now: datetime, *, server: str = ""
) -> Plan:
    """Plan new certificates for control-plane hosts; UsageError if there is nothing to renew."""
    _require_known(request.names)
    # What is not healthy comes first: it has nothing to lose, and the others are not touched for
    # it if certificates are not what is wrong. The leader of etcd comes last: each change of the
    # leader fails the reads under way, and so there is one.
    ordered = sorted(seen, key=lambda each: (each.is_healthy, each.leads))
    sites = tuple(_site(each, request) for each in ordered)
    if not any(site.leaves for site in sites):
        raise UsageError(
            "none of these certificates is on these hosts",
            reason="NothingToRenew",
            hint="see what is there: shipkeeper certs list --ssh",
        )
    sites = tuple(site for site in sites if site.leaves)
    outlook = RenewOutlook(
        sites=sites,
        folder=f"/etc/kubernetes/renew-{now:%Y%m%d-%H%M%S}",
        kubeadm={each.host: each.kubeadm for each in seen},
        server=server,
    )
    verdicts = [verdict for each in ordered for verdict in _verdicts(each, request, now)]
    return Plan(
        procedure=PROCEDURE,
        request=msgspec.to_builtins(request),
        steps=steps_of(sites),
        verdicts=tuple(verdicts),
        outlook=msgspec.to_builtins(outlook),
    )


def _require_known(names: Iterable[str]) -> None:
    unknown = [each for each in names if each not in NAMES]
    if unknown:
        raise UsageError(
            f"there is no certificate {', '.join(unknown)}",
            reason="NoSuchCertificate",
            hint=f"these can be renewed: {', '.join(NAMES)}",
        )


def wanted_leaves(look: HostLook, names: Iterable[str]) -> list[Leaf]:
    """The certificates of a host that are to be renewed."""
    chosen = set(names) or set(NAMES)
    return [each for each in leaves_of(look) if each.name in chosen]


def how_of(seen: Seen, how: str, leaves: Iterable[Leaf]) -> str:
    """Kubeadm where it is and all lies where it looks, else OpenSSL; or what was asked for."""
    if how:
        return how
    is_usual = all(each.path.startswith("/etc/kubernetes/") for each in leaves)
    return KUBEADM if seen.kubeadm and "unshare" in seen.tools and is_usual else OPENSSL


def _site(seen: Seen, request: Request) -> Site:
    leaves = wanted_leaves(seen.look, request.names)
    touched = {each.component for each in leaves}
    restarts = tuple(each for each in STATIC_PODS if each in touched)
    if ETCD in restarts and seen.look.flags(API_SERVER) is not None:
        # An API server whose etcd is away answers with errors: better it does not answer.
        restarts = tuple(each for each in STATIC_PODS if each in {*restarts, API_SERVER})
    return Site(
        host=seen.host,
        how=how_of(seen, request.how, leaves),
        leaves=tuple(_renewed(each) for each in leaves),
        restarts=restarts,
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


def unfinished(seen: Seen) -> Iterator[Verdict]:
    """Static pods that another run has stopped: what is planned without them leaves them so."""
    for path in seen.away:
        name = path.rpartition("/")[2].removesuffix(".yaml")
        yield _block(
            f"host/{seen.host}",
            "StaticPodAway",
            f"a run that did not come to its end has taken {name} away: its manifest is {path}",
            "go on with that run, or put it back, with the same command from where it was begun; "
            f"or move the manifest back; or, if {name} is meant to be gone, remove that copy",
        )


def _verdicts(seen: Seen, request: Request, now: datetime) -> Iterator[Verdict]:
    host = f"host/{seen.host}"
    yield from unfinished(seen)
    leaves = wanted_leaves(seen.look, request.names)
    how = how_of(seen, request.how, leaves)
    if not seen.has_manifests:
        yield _block(host, "NoStaticPods", "no component runs as a static pod there", "")
    if how == KUBEADM and not seen.kubeadm:
        yield _block(host, "NoKubeadm", "there is no kubeadm", "leave --how out, or: --how openssl")
    if "openssl" not in seen.tools:
        yield _block(host, "NoOpenssl", "there is no openssl", "install it there")
    if seen.is_hidden and "kubectl" not in seen.tools:
        message = "its API server tells only those it knows whether it is ready, and no kubectl is"
        yield _block(host, "NoKubectl", f"{message} there to ask it", "install kubectl there")
    if seen.free < _FREE_KIB:
        yield _block(host, "NoRoom", "its /etc is full", "free space there")
    if not seen.is_healthy:
        yield Verdict(
            target=host,
            effect=Effect.WARN,
            reason="NotHealthy",
            message="etcd or the API server does not answer well now; this host comes first",
        )
    yield from _of_leaves(seen, leaves, how, now)


def _of_leaves(seen: Seen, leaves: Iterable[Leaf], how: str, now: datetime) -> Iterator[Verdict]:
    signers = signers_of(seen.look)
    for leaf in leaves:
        target = f"certificate/{seen.host}:{leaf.path}"
        signer = signers.get(leaf.authority)
        if signer is None or not signer.has_key:
            where = signer.key_path if signer else f"the authority {leaf.authority}"
            yield _block(
                target,
                "NoAuthorityKey",
                f"the key that signs it is not on the host ({where})",
                "renew it where that key is, and name the others: shipkeeper certs renew NAME…",
            )
        elif len(signer.chain) > 1:
            yield _block(
                target,
                "RotationUnderWay",
                f"{signer.path} holds {len(signer.chain)} authorities: a rotation is under way",
                "bring it to its end: shipkeeper certs rotate-ca",
            )
        elif not signed(leaf.certificate, signer.certificate):
            yield _block(
                target,
                "OtherAuthority",
                f"{leaf.certificate.issuer} signed it, not {signer.path}",
                "have it renewed there, and name the others: shipkeeper certs renew NAME…",
            )
        else:
            yield from _of_signer(target, signer.certificate, now)
        if how == OPENSSL:
            for why in obstacles(leaf.certificate):
                yield _block(target, "CannotBeMade", why, "use kubeadm there: --how kubeadm")


def _of_signer(target: str, signer: Certificate, now: datetime) -> Iterator[Verdict]:
    ends = f"its authority {signer.subject} ends at {signer.not_after:%Y-%m-%d %H:%M} UTC"
    remedy = "replace the authority: shipkeeper certs rotate-ca"
    if signer.not_after <= now + timedelta(hours=1):
        yield _block(target, "AuthorityEnds", ends, remedy)
    elif signer.not_after < now + LIFETIME:
        yield Verdict(
            target=target,
            effect=Effect.WARN,
            reason="AuthorityEnds",
            message=f"{ends}, and so will it",
            remedy=remedy,
        )


def _block(target: str, reason: str, message: str, remedy: str) -> Verdict:
    return Verdict(
        target=target, effect=Effect.BLOCK, reason=reason, message=message, remedy=remedy
    )


_WAY_BACK = "what was there is put back, and runs again"


def steps_of(sites: Sequence[Site]) -> tuple[Step, ...]:
    """First everything is made beside what is in use; then one host after the other changes."""
    staged = {site.host: _step("stage", site, _staging(site)) for site in sites}
    steps = list(staged.values())
    before = tuple(each.id for each in steps)
    for index, site in enumerate(sites):
        # Staging has the way back of its host; hosts whose turn has not come need not keep theirs.
        unused = tuple(staged[each.host].id for each in sites[index:])
        for action, effect in actions_of(site):
            step = _step(action, site, effect, after=before, rollback=unused)
            before = (step.id,)
            steps.append(step)
    return tuple(steps)


def _staging(site: Site) -> str:
    names = ", ".join(each.name for each in site.leaves)
    return f"make {names} by {site.how}, beside those in use; compare names, usages and authority"


def actions_of(site: Site) -> Iterator[tuple[str, str]]:
    """What is done to a host once all is made, and to which effect."""
    stopped = [each for each in (API_SERVER, ETCD) if each in site.restarts]
    then = f"; stop {', then '.join(stopped)}" if stopped else ""
    yield "stop", f"see all other hosts healthy{then}"
    yield "install", "keep what is there; put the new files in place, modes and owners as they were"
    if ETCD in site.restarts:
        yield ETCD, "start etcd; see the new certificate on its ports, and its quorum"
    if API_SERVER in site.restarts:
        yield API_SERVER, "start kube-apiserver; see the new certificate on its port, and it ready"
    others = [each for each in site.pods if each not in (API_SERVER, ETCD)]
    if others:
        yield "controllers", f"restart {' and '.join(others)}; see each serve as another process"
    if site.restarts_kubelet:
        yield "kubelet", "restart the kubelet; see it healthy"


def _step(
    action: str,
    site: Site,
    effect: str,
    *,
    after: tuple[str, ...] = (),
    rollback: tuple[str, ...] = (),
) -> Step:
    return Step(
        id=f"{action}/{site.host}",
        action=action,
        target=f"host/{site.host}",
        effect=effect,
        undo=_WAY_BACK if rollback else "what was made is removed",
        after=after,
        rollback=rollback,
    )
