"""Controllers of pods: only what tells how many pods they want and have."""

from shipkeeper.model.base import KubeStruct
from shipkeeper.model.meta import KubeObject
from shipkeeper.model.selector import LabelSelector


class WorkloadSpec(KubeStruct, frozen=True, kw_only=True):
    """What is wanted: a number of replicas (None where the kind has none)."""

    replicas: int | None = None
    selector: LabelSelector | None = None


class WorkloadStatus(KubeStruct, frozen=True, kw_only=True):
    """What is there, in pods, as of the generation that its controller has seen."""

    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    desired_number_scheduled: int = 0
    number_ready: int = 0


class Workload(KubeObject, frozen=True, kw_only=True):
    """A Deployment, ReplicaSet, StatefulSet or DaemonSet."""

    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()
