"""What other tools wrote beside the nodes about what they do with them, as it was read."""

import msgspec

from shipkeeper.model.foreign import Machine, Shadow
from shipkeeper.model.lease import Lease
from shipkeeper.nodes.kured import KuredLock

MEDIK8S_NAMESPACE = "medik8s-leases"
BRUPOP_LABEL = "bottlerocket.aws/updater-interface-version"
MACHINE_ANNOTATION = "cluster.x-k8s.io/machine"


class Outside(msgspec.Struct, frozen=True, kw_only=True):
    """kured's locks, medik8s' leases on nodes, Cluster API's machines, brupop's shadows."""

    kured: tuple[KuredLock, ...] = ()
    leases: tuple[Lease, ...] = ()
    machines: tuple[Machine, ...] = ()
    shadows: tuple[Shadow, ...] = ()


def lease_name(node: str) -> str:
    """The Lease that medik8s' operators take on a node (medik8s/common pkg/lease)."""
    return f"node-{node}".lower()
