"""Volumes: claims, the volumes behind them, and where they are attached."""

from typing import Any

from shipkeeper.model.base import KubeStruct
from shipkeeper.model.meta import KubeObject

_SHARED_MODES = frozenset({"ReadWriteMany", "ReadOnlyMany"})


class ClaimSpec(KubeStruct, frozen=True, kw_only=True):
    """The volume that a claim is bound to."""

    volume_name: str = ""
    access_modes: tuple[str, ...] = ()


class PersistentVolumeClaim(KubeObject, frozen=True, kw_only=True):
    """A pod's claim to storage."""

    spec: ClaimSpec = ClaimSpec()


class VolumeNodeAffinity(KubeStruct, frozen=True, kw_only=True):
    """The nodes from which a volume can be reached; a NodeSelector in `required`."""

    required: dict[str, Any] | None = None


class ClaimReference(KubeStruct, frozen=True, kw_only=True):
    """The claim that a volume is bound to."""

    namespace: str = ""
    name: str = ""


class VolumeSpec(KubeStruct, frozen=True, kw_only=True):
    """How a volume is kept, as far as losing a node matters."""

    local: dict[str, Any] | None = None
    host_path: dict[str, Any] | None = None
    csi: dict[str, Any] | None = None
    access_modes: tuple[str, ...] = ()
    node_affinity: VolumeNodeAffinity | None = None
    claim_ref: ClaimReference | None = None

    @property
    def is_on_node(self) -> bool:
        """Whether the data lives on one node's own disk."""
        return self.local is not None or self.host_path is not None

    @property
    def is_shared(self) -> bool:
        """Whether several nodes may hold it at a time."""
        return not _SHARED_MODES.isdisjoint(self.access_modes)


class PersistentVolume(KubeObject, frozen=True, kw_only=True):
    """A piece of storage."""

    spec: VolumeSpec = VolumeSpec()


class AttachmentSource(KubeStruct, frozen=True, kw_only=True):
    """What is attached."""

    persistent_volume_name: str = ""


class AttachmentSpec(KubeStruct, frozen=True, kw_only=True):
    """Which volume is attached to which node, and by the attacher of which driver."""

    node_name: str
    attacher: str = ""
    source: AttachmentSource = AttachmentSource()


class AttachmentError(KubeStruct, frozen=True, kw_only=True):
    """What an attacher last failed with."""

    message: str = ""


class AttachmentStatus(KubeStruct, frozen=True, kw_only=True):
    """How far the attacher is."""

    attached: bool = False
    attach_error: AttachmentError | None = None
    detach_error: AttachmentError | None = None


class VolumeAttachment(KubeObject, frozen=True, kw_only=True):
    """A volume that a node holds, or is to hold."""

    spec: AttachmentSpec
    status: AttachmentStatus = AttachmentStatus()

    @property
    def volume(self) -> str:
        """The name of the PersistentVolume, empty for a volume that a pod spells out."""
        return self.spec.source.persistent_volume_name


class DriverSpec(KubeStruct, frozen=True, kw_only=True):
    """How a CSI driver wants to be treated."""

    attach_required: bool = True


class CsiDriver(KubeObject, frozen=True, kw_only=True):
    """A CSI driver that the cluster knows."""

    spec: DriverSpec = DriverSpec()
