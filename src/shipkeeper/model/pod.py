"""Pods as the API server shows them."""

from datetime import datetime
from typing import Any

from shipkeeper.model.base import KubeStruct, share
from shipkeeper.model.meta import Condition, KubeObject, condition

MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
FINISHED_PHASES = frozenset({"Succeeded", "Failed"})


class ClaimSource(KubeStruct, frozen=True, kw_only=True):
    """The PersistentVolumeClaim that a volume mounts."""

    claim_name: str


class Volume(KubeStruct, frozen=True, kw_only=True):
    """A volume of a pod, told apart only as far as moving the pod needs it."""

    name: str
    empty_dir: dict[str, Any] | None = None
    host_path: dict[str, Any] | None = None
    persistent_volume_claim: ClaimSource | None = None
    ephemeral: dict[str, Any] | None = None


class Toleration(KubeStruct, frozen=True, kw_only=True):
    """A taint that a pod bears; an empty key with Exists bears every taint."""

    key: str = ""
    operator: str = ""
    value: str = ""
    effect: str = ""
    toleration_seconds: int | None = None

    def tolerates(self, key: str, effect: str, value: str = "") -> bool:
        """Whether this bears a taint (core/v1 Toleration: an empty effect means all)."""
        if self.effect and self.effect != effect:
            return False
        if self.key and self.key != key:
            return False
        if self.operator == "Exists":
            return True
        return bool(self.key) and self.value == value


class PodSpec(KubeStruct, frozen=True, kw_only=True):
    """What is wanted of a pod."""

    node_name: str = ""
    volumes: tuple[Volume, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    termination_grace_period_seconds: int | None = None
    priority: int = 0

    def __post_init__(self) -> None:
        """Share what nearly all pods have by default."""
        share(self, "tolerations")


class PodStatus(KubeStruct, frozen=True, kw_only=True):
    """What the kubelet last reported of a pod."""

    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    start_time: datetime | None = None


class Pod(KubeObject, frozen=True, kw_only=True):
    """A pod."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def is_finished(self) -> bool:
        """Whether it ran to its end and will not start again."""
        return self.status.phase in FINISHED_PHASES

    @property
    def is_ready(self) -> bool:
        """Whether its Ready condition is True."""
        found = condition(self.status.conditions, "Ready")
        return found is not None and found.status == "True"

    @property
    def is_deleting(self) -> bool:
        """Whether its deletion was asked for."""
        return self.metadata.deletion_timestamp is not None

    @property
    def is_mirror(self) -> bool:
        """Whether it only mirrors a static pod of the kubelet."""
        return MIRROR_ANNOTATION in self.metadata.annotations

    @property
    def uses_empty_dir(self) -> bool:
        """Whether it keeps data that ends with it."""
        return any(volume.empty_dir is not None for volume in self.spec.volumes)

    @property
    def claims(self) -> tuple[str, ...]:
        """Names of the PersistentVolumeClaims it mounts, in its own namespace."""
        named = [
            volume.persistent_volume_claim.claim_name
            for volume in self.spec.volumes
            if volume.persistent_volume_claim is not None
        ]
        generated = [
            f"{self.name}-{volume.name}"
            for volume in self.spec.volumes
            if volume.ephemeral is not None
        ]
        return (*named, *generated)

    def toleration_for(self, key: str, effect: str) -> Toleration | None:
        """The first toleration that bears a taint without a value, or None."""
        return next((each for each in self.spec.tolerations if each.tolerates(key, effect)), None)
