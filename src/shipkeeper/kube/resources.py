"""Where each kind lives on the API server and what its objects are decoded to."""

from typing import Generic, TypeVar

import msgspec

from shipkeeper.model.autoscaler import HorizontalPodAutoscaler
from shipkeeper.model.config_map import ConfigMap
from shipkeeper.model.container import StartedPod
from shipkeeper.model.daemonset import DaemonSet
from shipkeeper.model.deployment import Deployment
from shipkeeper.model.disruption import PodDisruptionBudget
from shipkeeper.model.foreign import Machine, Shadow
from shipkeeper.model.lease import Lease
from shipkeeper.model.meta import KubeObject
from shipkeeper.model.node import Node
from shipkeeper.model.pod import Pod
from shipkeeper.model.storage import (
    CsiDriver,
    PersistentVolume,
    PersistentVolumeClaim,
    VolumeAttachment,
)
from shipkeeper.model.workload import Workload

T_co = TypeVar("T_co", bound=KubeObject, covariant=True)


class Resource(msgspec.Struct, Generic[T_co], frozen=True):
    """A kind of object: its API group (empty for core), version, plural and decoded type."""

    group: str
    version: str
    plural: str
    kind: str
    type: type[T_co]
    namespaced: bool = True

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection, of one object, or of its subresource."""
        parts = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if namespace and self.namespaced:
            parts += ["namespaces", namespace]
        parts += [part for part in (self.plural, name, subresource) if part]
        return "/" + "/".join(parts)

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its manifests."""
        return f"{self.group}/{self.version}" if self.group else self.version


NODES = Resource("", "v1", "nodes", "Node", Node, namespaced=False)
PODS = Resource("", "v1", "pods", "Pod", Pod)
STARTED_PODS = Resource("", "v1", "pods", "Pod", StartedPod)
USERS = Resource("", "v1", "users", "User", KubeObject, namespaced=False)
GROUPS = Resource("", "v1", "groups", "Group", KubeObject, namespaced=False)
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", KubeObject, namespaced=False)
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", ConfigMap)
EVENTS = Resource("", "v1", "events", "Event", KubeObject)
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease", Lease)
PERSISTENT_VOLUMES = Resource(
    "", "v1", "persistentvolumes", "PersistentVolume", PersistentVolume, namespaced=False
)
PERSISTENT_VOLUME_CLAIMS = Resource(
    "", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", PersistentVolumeClaim
)
VOLUME_ATTACHMENTS = Resource(
    "storage.k8s.io", "v1", "volumeattachments", "VolumeAttachment", VolumeAttachment, False
)
CSI_DRIVERS = Resource("storage.k8s.io", "v1", "csidrivers", "CSIDriver", CsiDriver, False)
DAEMON_SETS = Resource("apps", "v1", "daemonsets", "DaemonSet", DaemonSet)
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment", Deployment)
REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet", Workload)
STATEFUL_SETS = Resource("apps", "v1", "statefulsets", "StatefulSet", Workload)
BUDGETS = Resource(
    "policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", PodDisruptionBudget
)
BUDGETS_BETA = Resource(
    "policy", "v1beta1", "poddisruptionbudgets", "PodDisruptionBudget", PodDisruptionBudget
)
AUTOSCALERS = Resource(
    "autoscaling",
    "v1",
    "horizontalpodautoscalers",
    "HorizontalPodAutoscaler",
    HorizontalPodAutoscaler,
)
MACHINES = Resource("cluster.x-k8s.io", "v1beta1", "machines", "Machine", Machine)
SHADOWS = Resource(
    "brupop.bottlerocket.aws", "v2", "bottlerocketshadows", "BottlerocketShadow", Shadow
)
