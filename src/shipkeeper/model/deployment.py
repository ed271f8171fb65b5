"""Deployments, with what tells who else scales them."""

from shipkeeper.model.base import KubeStruct
from shipkeeper.model.meta import ObjectMeta
from shipkeeper.model.workload import Workload, WorkloadSpec


class FieldManager(KubeStruct, frozen=True, kw_only=True):
    """Who set fields of an object, and how: Apply or Update."""

    manager: str = ""
    operation: str = ""


class ManagedMeta(ObjectMeta, frozen=True, kw_only=True):
    """Metadata with those who manage the object's fields."""

    managed_fields: tuple[FieldManager, ...] = ()


class DeploymentStrategy(KubeStruct, frozen=True, kw_only=True):
    """How pods are replaced: RollingUpdate, or Recreate when two must not run together."""

    type: str = ""


class DeploymentSpec(WorkloadSpec, frozen=True, kw_only=True):
    """What is wanted of a Deployment."""

    strategy: DeploymentStrategy = DeploymentStrategy()


class Deployment(Workload, frozen=True, kw_only=True):
    """A Deployment."""

    metadata: ManagedMeta
    spec: DeploymentSpec = DeploymentSpec()
