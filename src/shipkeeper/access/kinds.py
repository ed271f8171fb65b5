"""The kinds that authorization, and its audit, look at. Pure."""

import msgspec


class PolicyKind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind: where it is served, and since which minor version."""

    kind: str
    group: str = ""
    version: str = "v1"
    plural: str
    namespaced: bool = True
    since: int = 0

    @property
    def path(self) -> str:
        """The URL path of all its objects."""
        base = f"/apis/{self.group}" if self.group else "/api"
        return f"{base}/{self.version}/{self.plural}"

    @property
    def name(self) -> str:
        """`plural.group`, as kubectl writes it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


_RBAC = "rbac.authorization.k8s.io"
_STORAGE = "storage.k8s.io"

ROLE = PolicyKind(kind="Role", group=_RBAC, plural="roles")
CLUSTER_ROLE = PolicyKind(kind="ClusterRole", group=_RBAC, plural="clusterroles", namespaced=False)
ROLE_BINDING = PolicyKind(kind="RoleBinding", group=_RBAC, plural="rolebindings")
CLUSTER_ROLE_BINDING = PolicyKind(
    kind="ClusterRoleBinding", group=_RBAC, plural="clusterrolebindings", namespaced=False
)
POD = PolicyKind(kind="Pod", plural="pods")
VOLUME = PolicyKind(kind="PersistentVolume", plural="persistentvolumes", namespaced=False)
ATTACHMENT = PolicyKind(
    kind="VolumeAttachment", group=_STORAGE, plural="volumeattachments", namespaced=False
)
SLICE = PolicyKind(
    kind="ResourceSlice",
    group="resource.k8s.io",
    plural="resourceslices",
    namespaced=False,
    since=34,
)
CERTIFICATE_REQUEST = PolicyKind(
    kind="PodCertificateRequest",
    group="certificates.k8s.io",
    plural="podcertificaterequests",
    since=37,
)
NAMESPACE = PolicyKind(kind="Namespace", plural="namespaces", namespaced=False)
NODE = PolicyKind(kind="Node", plural="nodes", namespaced=False)
SERVICE_ACCOUNT = PolicyKind(kind="ServiceAccount", plural="serviceaccounts")
SECRET = PolicyKind(kind="Secret", plural="secrets")
NETWORK_POLICY = PolicyKind(
    kind="NetworkPolicy", group="networking.k8s.io", plural="networkpolicies"
)

RBAC_KINDS = (ROLE, CLUSTER_ROLE, ROLE_BINDING, CLUSTER_ROLE_BINDING)
"""What RBAC decides with."""
GRAPH_KINDS = (POD, VOLUME, ATTACHMENT, SLICE, CERTIFICATE_REQUEST)
"""What the Node authorizer decides with."""
AUDIT_KINDS = (NAMESPACE, NODE, SERVICE_ACCOUNT, SECRET, NETWORK_POLICY)
"""What audits look at besides."""
EVERY_KIND = (*RBAC_KINDS, *GRAPH_KINDS, *AUDIT_KINDS)
