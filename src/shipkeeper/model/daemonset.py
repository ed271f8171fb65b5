"""DaemonSets (apps/v1): how many pods they have, and what runs in them."""

from shipkeeper.model.base import KubeStruct
from shipkeeper.model.workload import Workload, WorkloadSpec


class EnvironmentVariable(KubeStruct, frozen=True, kw_only=True):
    """One variable of a container; empty if its value comes from elsewhere."""

    name: str
    value: str = ""


class Container(KubeStruct, frozen=True, kw_only=True):
    """What a container runs, and with which words."""

    name: str = ""
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[EnvironmentVariable, ...] = ()


class TemplateSpec(KubeStruct, frozen=True, kw_only=True):
    """The pods that are made."""

    containers: tuple[Container, ...] = ()


class PodTemplate(KubeStruct, frozen=True, kw_only=True):
    """The template of the pods."""

    spec: TemplateSpec = TemplateSpec()


class DaemonSetSpec(WorkloadSpec, frozen=True, kw_only=True):
    """What is wanted on every node."""

    template: PodTemplate = PodTemplate()


class DaemonSet(Workload, frozen=True, kw_only=True):
    """One pod on every node that it selects."""

    spec: DaemonSetSpec = DaemonSetSpec()
