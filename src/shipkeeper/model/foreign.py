"""Objects of other tools that tell what they do with nodes: only the fields that tell it."""

from shipkeeper.model.base import KubeStruct
from shipkeeper.model.meta import KubeObject


class NodeReference(KubeStruct, frozen=True, kw_only=True):
    """The node that a Machine became."""

    name: str = ""


class MachineStatus(KubeStruct, frozen=True, kw_only=True):
    """What is known of a machine."""

    node_ref: NodeReference | None = None


class Machine(KubeObject, frozen=True, kw_only=True):
    """A host that Cluster API keeps (cluster.x-k8s.io Machine)."""

    status: MachineStatus = MachineStatus()

    @property
    def node(self) -> str:
        """The name of its node, empty while it has none."""
        return self.status.node_ref.name if self.status.node_ref else ""


class ShadowStatus(KubeStruct, frozen=True, kw_only=True, rename=None):
    """Where the update of a node stands; brupop spells its fields so."""

    current_state: str = "Idle"


class ShadowSpec(KubeStruct, frozen=True, kw_only=True, rename=None):
    """Where the update of a node should stand."""

    state: str = "Idle"


class Shadow(KubeObject, frozen=True, kw_only=True):
    """brupop's view of a node (brupop.bottlerocket.aws BottlerocketShadow); named `brs-NODE`."""

    spec: ShadowSpec = ShadowSpec()
    status: ShadowStatus | None = None
