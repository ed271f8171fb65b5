"""HorizontalPodAutoscalers: only whom they scale."""

from shipkeeper.model.base import KubeStruct
from shipkeeper.model.meta import KubeObject


class ScaleTarget(KubeStruct, frozen=True, kw_only=True):
    """The object that an autoscaler sets the number of replicas of, in its own namespace."""

    kind: str = ""
    name: str = ""


class AutoscalerSpec(KubeStruct, frozen=True, kw_only=True):
    """What is wanted of an autoscaler."""

    scale_target_ref: ScaleTarget = ScaleTarget()


class HorizontalPodAutoscaler(KubeObject, frozen=True, kw_only=True):
    """An autoscaler."""

    spec: AutoscalerSpec = AutoscalerSpec()
