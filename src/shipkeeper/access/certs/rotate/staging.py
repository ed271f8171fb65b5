"""Writing what a stage of a rotation puts in place, beside what is in use on a host."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import timedelta

import msgspec

from shipkeeper.access.certs.certificate import Certificate
from shipkeeper.access.certs.chain import signed
from shipkeeper.access.certs.host import HostLook
from shipkeeper.access.certs.renew.leaves import (
    API_SERVER,
    CONTROLLER_MANAGER,
    ETCD,
    Authority,
    Leaf,
    leaves_of,
    signers_of,
)
from shipkeeper.access.certs.renew.openssl import Signing, renewal
from shipkeeper.access.certs.renew.profile import (
    authority_configuration,
    configuration,
    key_words,
    period,
)
from shipkeeper.access.certs.renew.programs import forget
from shipkeeper.access.certs.renew.reach import RenewError, look, run_on
from shipkeeper.access.certs.renew.site import Site
from shipkeeper.access.certs.renew.staging import require_fit
from shipkeeper.access.certs.renew.switching import now
from shipkeeper.access.certs.rotate import programs
from shipkeeper.access.certs.rotate.cluster import pem_of
from shipkeeper.access.certs.rotate.leaves import kubelet_leaves_of
from shipkeeper.access.certs.rotate.outlook import RotationOutlook
from shipkeeper.access.certs.rotate.standing import (
    SIGNING,
    Kept,
    Stage,
    read_kept,
    signing_file,
    signing_key,
    trusting_configs,
    trusting_files,
)
from shipkeeper.hosts.host import Host

_LIFETIME = timedelta(days=3650)
# Certificates that servers present: who trusts the old authority alone is led on by the chain.
_SERVED = frozenset({"apiserver", "etcd-server", "etcd-peer"})


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """What staging works with: ways to hosts, and what was planned."""

    hosts: Mapping[str, Host]
    outlook: RotationOutlook

    @property
    def maker(self) -> Host:
        """The host that made the new authority."""
        return self.hosts[self.outlook.maker]

    async def kept(self, host: Host) -> Kept:
        """What a host keeps of the rotation."""
        return read_kept(await run_on(host, programs.kept(self.outlook.keep)))


async def make_authority(rotation: Rotation) -> None:
    """Make the new authority on one host, and bring it to all others of the control plane."""
    outlook, maker = rotation.outlook, rotation.maker
    signer = signers_of(await look(maker))[outlook.authority]
    old = signer.certificate
    left = await rotation.kept(maker)
    if left.old is not None and left.old != old and len(signer.chain) == 1:
        # Of a rotation that was given up, long ago.
        await run_on(maker, forget(outlook.keep))
    moment = now()
    program = programs.make_authority(
        outlook.keep,
        (signer.path, signer.key_path),
        key_words(old) or ("RSA", "rsa_keygen_bits:2048"),
        outlook.name,
        authority_configuration(),
        period(moment, moment + _LIFETIME, _LIFETIME),
        period(moment, old.not_after, _LIFETIME).end,
    )
    await run_on(maker, program)
    made = await rotation.kept(maker)
    for site in outlook.sites:
        if site.of(API_SERVER, ETCD) and site.host != outlook.maker:
            await _share(rotation, rotation.hosts[site.host], made)


async def _share(rotation: Rotation, host: Host, made: Kept) -> None:
    keep = rotation.outlook.keep
    has = await rotation.kept(host)
    if has.has_key and has.new == made.new:
        return
    receiver = await run_on(host, programs.receive(keep))
    sealed = await run_on(rotation.maker, programs.send(keep, receiver))
    texts = {"old": made.old, "cross": made.cross, "new": made.new}
    pems = {name: pem_of(each) for name, each in texts.items() if each is not None}
    await run_on(host, programs.take(keep, sealed, pems))
    if not (await rotation.kept(host)).has_key:
        raise RenewError(
            f"{host.name}: the new authority's key did not arrive whole",
            reason="BrokenTransfer",
            hint="try again: nothing in use was changed",
        )


async def stage(rotation: Rotation, host: Host, site: Site) -> None:
    """Write everything that a stage changes on a host; RenewError unless it is fit to be used."""
    outlook = rotation.outlook
    found, kept = await asyncio.gather(look(host), rotation.kept(rotation.maker))
    if kept.new is None or kept.old is None or kept.cross is None:
        raise RenewError(
            f"{rotation.maker.name}: the new authority is not in {outlook.keep}",
            reason="NoNewAuthority",
            hint="it was removed; put the stage back with --back",
        )
    made = _Made(found, outlook, kept.old, kept.new, kept.cross)
    await run_on(host, programs.stage(outlook.folder, *made.lines()))
    if outlook.stage is Stage.MOVE:
        await _kubelet(rotation, host, found, kept.old, kept.new)
        await require_fit(host, outlook.folder, made.leaves(), {outlook.authority: kept.new})


class _Made:
    """The lines that write what a stage changes on one host."""

    def __init__(
        self,
        found: HostLook,
        outlook: RotationOutlook,
        old: Certificate,
        new: Certificate,
        cross: Certificate,
    ) -> None:
        self._found = found
        self._outlook = outlook
        self._old, self._new, self._cross = old, new, cross
        order = {Stage.TRUST: (old, new), Stage.MOVE: (new, old), Stage.DROP: (new,)}
        self._bundle = "".join(pem_of(each) for each in order[outlook.stage])

    def lines(self) -> Iterator[str]:
        """All of them; leaves after the trust in their kubeconfigs."""
        for file in trusting_files(self._found, (self._old, self._new)):
            yield from programs.put_text(file.path, self._bundle)
        if self._outlook.authority is Authority.KUBERNETES:
            for file in trusting_configs(self._found, (self._old, self._new)):
                yield from programs.put_trust(file.path, self._bundle)
            yield from self._signing()
        if self._is_control_plane:
            yield from self._moved() if self._outlook.stage is Stage.MOVE else self._dropped()

    def leaves(self) -> list[Leaf]:
        """The certificates that move to the new authority."""
        authority = self._outlook.authority
        own = [each for each in leaves_of(self._found) if each.authority is authority]
        return [each for each in own if signed(each.certificate, self._old)]

    @property
    def _is_control_plane(self) -> bool:
        return self._found.flags(API_SERVER) is not None

    def _signing(self) -> Iterator[str]:
        """What the controller manager signs by: never more than one certificate."""
        flags = self._found.flags(CONTROLLER_MANAGER) or {}
        named = flags.get(SIGNING, "")
        if not named:
            return
        signer = signers_of(self._found)[Authority.KUBERNETES]
        own, stage_ = signing_file(self._found), self._outlook.stage
        apart = f"{signer.path.rpartition('/')[0]}/ca-signing.crt"
        if stage_ is Stage.TRUST and not own:
            yield from programs.put_text(apart, pem_of(self._old))
            yield from programs.put_signing_flag(named, apart)
        elif stage_ is Stage.MOVE and own:
            yield from programs.put_text(own, pem_of(self._new))
            key = signing_key(self._found, signer.key_path)
            if key != signer.key_path:
                yield from programs.put_copy(key, f"{self._outlook.keep}/new.key")
        elif stage_ is Stage.DROP and own == apart:
            yield from programs.put_signing_flag(apart, signer.path)
            yield from programs.remove((apart,))

    def _moved(self) -> Iterator[str]:
        """The authority's key, and every leaf by it."""
        keep = self._outlook.keep
        signer = signers_of(self._found)[self._outlook.authority]
        yield from programs.put_copy(signer.key_path, f"{keep}/new.key")
        signing = Signing(
            path=f"{keep}/new.crt",
            key_path=f"{keep}/new.key",
            certificate=self._new,
            valid=period(now(), self._new.not_after),
        )
        for leaf in self.leaves():
            yield from renewal(leaf, signing)
            if leaf.name in _SERVED:
                yield f"cat {keep}/cross.crt >>$D/new{leaf.path}"

    def _dropped(self) -> Iterator[str]:
        """Leaves without the way from the old authority."""
        if self._outlook.stage is Stage.DROP:
            for leaf in leaves_of(self._found):
                if leaf.authority is self._outlook.authority and leaf.name in _SERVED:
                    yield from programs.put_leaf_alone(leaf.path)


async def _kubelet(
    rotation: Rotation, host: Host, found: HostLook, old: Certificate, new: Certificate
) -> None:
    """Certificates of the kubelet's, signed on the host that has the new authority's key."""
    outlook = rotation.outlook
    leaves = list(kubelet_leaves_of(found, outlook.authority, old))
    for leaf in leaves:
        words = key_words(leaf.certificate) or ("EC", "ec_paramgen_curve:P-256")
        request = await run_on(host, programs.ask_for_kubelet(outlook.folder, leaf.path, words))
        profile = configuration(leaf.certificate, new)
        valid = period(now(), new.not_after)
        signing = programs.sign_request(outlook.keep, request, profile, valid)
        certificate = await run_on(rotation.maker, signing)
        await run_on(host, programs.take_for_kubelet(outlook.folder, leaf.path, certificate))
    if leaves:
        await require_fit(host, outlook.folder, leaves, {outlook.authority: new})
