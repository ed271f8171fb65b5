"""The keys and certificates of a new sandbox: who vouches for whom.

The cluster's authority vouches for users and for the servers that they meet. Etcd has an authority
of its own: whoever may talk to etcd is above every permission of the cluster, so no certificate of
the cluster may open it.
"""

from shipkeeper.sandbox import names
from shipkeeper.sandbox.certificates import (
    create_authority,
    create_signing_key,
    issue_client,
    issue_server,
)
from shipkeeper.sandbox.keypair import write_pair
from shipkeeper.sandbox.layout import Layout

_LOOPBACK = ("localhost", "127.0.0.1")
_IN_CLUSTER = (
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    names.SERVICE_ADDRESS,
)


def create_pki(layout: Layout) -> None:
    """Make every key and certificate that a sandbox starts with."""
    cluster = create_authority("shipkeeper-sandbox")
    etcd = create_authority("shipkeeper-sandbox-etcd")
    pairs = {
        names.CLUSTER_CA: cluster,
        names.ETCD_CA: etcd,
        names.ETCD: issue_server(etcd, names.ETCD, _LOOPBACK),
        names.ETCD_CLIENT: issue_client(etcd, names.API_SERVER),
        names.SERVICE_ACCOUNTS: create_signing_key(),
        names.API_SERVER: issue_server(cluster, names.API_SERVER, (*_LOOPBACK, *_IN_CLUSTER)),
        names.CONTROLLER_MANAGER_SERVER: issue_server(cluster, names.CONTROLLER_MANAGER, _LOOPBACK),
        names.SCHEDULER_SERVER: issue_server(cluster, names.SCHEDULER, _LOOPBACK),
    }
    users = {owner: issue_client(cluster, *who) for owner, who in names.IDENTITIES.items()}
    for name, pair in (pairs | users).items():
        write_pair(layout, name, pair)
