"""Roles and bindings of rbac.authorization.k8s.io, cluster-wide ones and those of a namespace."""

import msgspec

from shipkeeper.model.base import KubeStruct
from shipkeeper.model.meta import KubeObject
from shipkeeper.model.selector import LabelSelector

GROUP = "rbac.authorization.k8s.io"


class PolicyRule(KubeStruct, frozen=True, kw_only=True):
    """What a role allows: verbs on resources, or verbs on URL paths that are no resources."""

    verbs: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = msgspec.field(default=(), name="nonResourceURLs")


class AggregationRule(KubeStruct, frozen=True, kw_only=True):
    """The labels of the ClusterRoles whose rules a controller copies together."""

    cluster_role_selectors: tuple[LabelSelector, ...] = ()


class Role(KubeObject, frozen=True, kw_only=True):
    """A Role, or without a namespace a ClusterRole; a role of no rules may say null."""

    rules: tuple[PolicyRule, ...] | None = None
    aggregation_rule: AggregationRule | None = None

    @property
    def kind(self) -> str:
        """Role or ClusterRole."""
        return "Role" if self.namespace else "ClusterRole"


class Subject(KubeStruct, frozen=True, kw_only=True):
    """Whom a binding means: a User, a Group or a ServiceAccount."""

    kind: str
    name: str
    namespace: str = ""


class RoleRef(KubeStruct, frozen=True, kw_only=True):
    """The role that a binding grants; its kind is Role or ClusterRole."""

    kind: str
    name: str


class Binding(KubeObject, frozen=True, kw_only=True):
    """A RoleBinding, or without a namespace a ClusterRoleBinding."""

    role_ref: RoleRef
    subjects: tuple[Subject, ...] | None = None

    @property
    def kind(self) -> str:
        """RoleBinding or ClusterRoleBinding."""
        return "RoleBinding" if self.namespace else "ClusterRoleBinding"

    @property
    def role_key(self) -> tuple[str, str]:
        """Namespace (empty for a ClusterRole) and name of the role."""
        is_role = self.role_ref.kind == "Role"
        return (self.namespace if is_role else "", self.role_ref.name)

    @property
    def label(self) -> str:
        """`kind/namespace/name`, as it is spoken of."""
        return f"{self.kind.lower()}/{self.key}"
