"""What an authority has signed on a host, and which processes go by it. Pure."""

from collections.abc import Iterator

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
    chain_of,
    leaves_of,
)
from shipkeeper.access.certs.uses import KUBELET_PKI

RESTARTS = {
    Authority.KUBERNETES: (API_SERVER, CONTROLLER_MANAGER, SCHEDULER, KUBELET),
    Authority.ETCD: (ETCD, API_SERVER),
    Authority.FRONT_PROXY: (API_SERVER, CONTROLLER_MANAGER),
}
KUBELET_FILES = (
    f"{KUBELET_PKI}/kubelet-client-current.pem",
    f"{KUBELET_PKI}/kubelet-server-current.pem",
)


def moving(look: HostLook, authority: Authority, old: Certificate) -> Iterator[Leaf]:
    """The certificates of a host that the old authority signed, those of its kubelet, too."""
    for leaf in leaves_of(look):
        if leaf.authority is authority and signed(leaf.certificate, old):
            yield leaf
    yield from kubelet_leaves_of(look, authority, old)


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
