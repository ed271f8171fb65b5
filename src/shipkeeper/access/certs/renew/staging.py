"""Making the new certificates of a host beside those in use, and comparing them."""

from collections.abc import Iterable, Iterator, Mapping

from shipkeeper.access.certs.certificate import Certificate
from shipkeeper.access.certs.host import HostLook
from shipkeeper.access.certs.renew import programs
from shipkeeper.access.certs.renew.leaves import Authority, Leaf, chain_of, signers_of
from shipkeeper.access.certs.renew.openssl import Signing, stage_by_openssl
from shipkeeper.access.certs.renew.plan import KUBEADM, RenewOutlook, wanted_leaves
from shipkeeper.access.certs.renew.profile import differences, period
from shipkeeper.access.certs.renew.reach import RenewError, look, run_on
from shipkeeper.access.certs.renew.site import Site
from shipkeeper.access.certs.renew.switching import now
from shipkeeper.hosts.host import Host


async def stage(outlook: RenewOutlook, host: Host, site: Site, *, is_all: bool = False) -> None:
    """Make the certificates of a host; RenewError unless all are fit to be used."""
    found = await look(host)
    leaves = wanted_leaves(found, [each.name for each in site.leaves])
    if site.how == KUBEADM:
        command = outlook.kubeadm[host.name]
        # A look at the cluster's settings for all at once, and not for each.
        names = ["all"] if is_all else [each.name for each in leaves]
        paths = [each.path for each in leaves]
        await run_on(host, programs.stage_by_kubeadm(outlook.folder, command, names, paths))
    else:
        await run_on(host, stage_by_openssl(outlook.folder, _with_signers(found, leaves)))
    signers = {key: each.certificate for key, each in signers_of(found).items()}
    await require_fit(host, outlook.folder, leaves, signers)


def _with_signers(found: HostLook, leaves: Iterable[Leaf]) -> Iterator[tuple[Leaf, Signing]]:
    signers = signers_of(found)
    for leaf in leaves:
        signer = signers[leaf.authority]
        yield (
            leaf,
            Signing(
                path=signer.path,
                key_path=signer.key_path,
                certificate=signer.certificate,
                valid=period(now(), signer.certificate.not_after),
            ),
        )


async def require_fit(
    host: Host, folder: str, leaves: Iterable[Leaf], signers: Mapping[Authority, Certificate]
) -> None:
    """RenewError unless each new certificate can take the old one's place."""
    made = await look(host, f"{folder}/new")
    moment = now()
    for leaf in leaves:
        file = made.file(leaf.path)
        chain = chain_of(file) if file is not None else ()
        if file is None or not chain:
            raise _unfit(host, leaf, "it was not made")
        if file.key_digest != chain[0].key_digest:
            raise _unfit(host, leaf, "its key is not its own")
        for why in differences(leaf.certificate, chain[0], signers[leaf.authority], moment):
            raise _unfit(host, leaf, why)


def _unfit(host: Host, leaf: Leaf, why: str) -> RenewError:
    return RenewError(
        f"{host.name}: the new {leaf.name} is not fit to be used: {why}",
        reason="NotFit",
        hint="nothing in use was changed; try the other way: --how kubeadm or --how openssl",
    )
