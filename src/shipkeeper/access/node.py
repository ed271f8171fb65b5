"""The Node authorizer: what kubelets may do. Pure.

As k8s.io/kubernetes plugin/pkg/auth/authorizer/node and the rules of its bootstrappolicy, 1.20 to
1.37. What a kubelet may write is narrowed once more by the NodeRestriction admission plugin.
"""

from collections.abc import Callable

from shipkeeper.access.attributes import Attributes
from shipkeeper.access.decision import NO_OPINION, Decision, Opinion
from shipkeeper.access.node_graph import (
    ATTACHMENT,
    CERTIFICATE_REQUEST,
    CONFIG_MAP,
    POD,
    RESOURCE_CLAIM,
    SECRET,
    SERVICE_ACCOUNT,
    SLICE,
    VOLUME,
    VOLUME_CLAIM,
    NodeGraph,
)
from shipkeeper.access.node_rules import node_rules

_LEASE_NAMESPACE = "kube-node-lease"
_READS = frozenset({"get", "list", "watch"})
_OWN_VERBS = frozenset({"get", "create", "update", "patch", "delete"})

# First minors with: field selectors in authorization, ResourceClaims, ResourceSlices,
# ServiceAccounts to get, PodCertificateRequests known and served.
_SELECTORS, _CLAIMS, _SLICES, _ACCOUNTS, _REQUESTS_KNOWN, _REQUESTS = 32, 26, 31, 34, 34, 37
# First minor that knows the health of volumes, behind a gate that is off.
_CSI_HEALTH = 37

_Judge = Callable[[str, Attributes], str]
"""Why a node may not do something; empty if it may."""

_UNRELATED = "no relationship found between node '{node}' and this object"


class Node:
    """What the kubelet of each node may do."""

    def __init__(self, graph: NodeGraph, minor: int) -> None:
        self.graph = graph
        self._minor = minor
        self._rules = node_rules(minor)
        self._judges = self._for_version(minor)

    def authorize(self, asked: Attributes) -> Opinion:
        """Allow what a kubelet needs for itself and its pods, else no opinion."""
        node = asked.user.node
        if node is None:
            return NO_OPINION
        if not node:
            return _no(f'unknown node for user "{asked.user.name}"')
        judge = self._judges.get((asked.group, asked.resource)) if asked.resource_request else None
        if judge is None:
            allowed = any(rule.allows(asked) for rule in self._rules)
            return _yes("the rules of every node") if allowed else NO_OPINION
        why_not = judge(node, asked)
        if why_not:
            return _no("" if why_not == _SILENT else why_not)
        return _yes(f"what node {node} runs")

    def _for_version(self, minor: int) -> dict[tuple[str, str], _Judge]:
        judges: dict[tuple[str, str], _Judge] = {
            ("", "secrets"): self._reads(SECRET),
            ("", "configmaps"): self._reads(CONFIG_MAP),
            ("", "persistentvolumeclaims"): self._volume_claim,
            ("", "persistentvolumes"): self._gets(VOLUME),
            ("storage.k8s.io", "volumeattachments"): self._gets(ATTACHMENT),
            ("", "serviceaccounts"): self._service_account,
            ("coordination.k8s.io", "leases"): _lease,
            ("storage.k8s.io", "csinodes"): self._csi_node,
        }
        if minor >= _CLAIMS:
            judges["resource.k8s.io", "resourceclaims"] = self._gets(RESOURCE_CLAIM)
        if minor >= _SLICES:
            judges["resource.k8s.io", "resourceslices"] = self._resource_slice
        if minor >= _SELECTORS:
            judges["", "nodes"] = _own_node
            judges["", "pods"] = self._pod
        if minor >= _REQUESTS_KNOWN:
            judges["certificates.k8s.io", "podcertificaterequests"] = self._certificate_request
        return judges

    def _related(self, type_: str, node: str, asked: Attributes) -> str:
        if not asked.name:
            return "No Object name found"
        related = self.graph.leads_to(node, type_, asked.namespace, asked.name)
        return "" if related else _UNRELATED.format(node=node)

    def _reads(self, type_: str) -> _Judge:
        def judge(node: str, asked: Attributes) -> str:
            if asked.verb not in _READS:
                return "can only read resources of this type"
            if asked.subresource:
                return "cannot read subresource"
            if not asked.namespace:
                return "can only read namespaced object of this type"
            return self._related(type_, node, asked)

        return judge

    def _gets(self, type_: str) -> _Judge:
        def judge(node: str, asked: Attributes) -> str:
            if asked.verb != "get":
                return "can only get individual resources of this type"
            if asked.subresource:
                return "cannot get subresource"
            return self._related(type_, node, asked)

        return judge

    def _volume_claim(self, node: str, asked: Attributes) -> str:
        if asked.subresource != "status":
            return self._gets(VOLUME_CLAIM)(node, asked)
        if asked.verb not in ("update", "patch"):
            return "can only get/update/patch this type"
        return self._related(VOLUME_CLAIM, node, asked)

    def _service_account(self, node: str, asked: Attributes) -> str:
        if self._minor >= _ACCOUNTS and asked.verb == "get" and not asked.subresource:
            return self._reads(SERVICE_ACCOUNT)(node, asked)
        if asked.verb != "create" or not asked.name:
            return "can only create tokens for individual service accounts"
        if asked.subresource != "token":
            return "can only create token subresource of serviceaccount"
        return self._related(SERVICE_ACCOUNT, node, asked)

    def _resource_slice(self, node: str, asked: Attributes) -> str:
        if asked.subresource:
            return "cannot authorize ResourceSlice subresources"
        match asked.verb:
            case "create":
                return ""
            case "get" | "update" | "patch" | "delete":
                return self._related(SLICE, node, asked)
            case "watch" | "list" | "deletecollection":
                if self._minor < _SELECTORS or _selects(asked, "spec.nodeName", node):
                    return ""
                return (
                    "can only list/watch/deletecollection resourceslices with nodeName field"
                    " selector"
                )
            case _:
                return (
                    "only the following verbs are allowed for a ResourceSlice: get, watch, list,"
                    " create, update, patch, delete, deletecollection"
                )

    def _pod(self, node: str, asked: Attributes) -> str:
        match asked.subresource, asked.verb:
            case "", "get":
                return self._gets(POD)(node, asked)
            case "", "list" | "watch":
                if _selects(asked, "spec.nodeName", node):
                    return ""
                if asked.name:
                    return self._related(POD, node, asked)
                return "can only list/watch pods with spec.nodeName field selector"
            case ("", "create" | "delete") | ("status", "update" | "patch"):
                return ""
            case "eviction", "create":
                return ""
            case _:
                return _SILENT

    def _csi_node(self, node: str, asked: Attributes) -> str:
        if asked.subresource and self._minor >= _CSI_HEALTH:
            if asked.subresource == "status":
                return "CSINode status access requires CSIVolumeHealth feature"
            return "cannot authorize CSINode subresources"
        return _csi_node(node, asked)

    def _certificate_request(self, node: str, asked: Attributes) -> str:
        if self._minor < _REQUESTS:
            return _SILENT
        if asked.subresource:
            return "nodes may not access the status subresource of PodCertificateRequests"
        match asked.verb:
            case "create":
                return ""
            case "get":
                return self._related(CERTIFICATE_REQUEST, node, asked)
            case "list" | "watch":
                if _selects(asked, "spec.nodeName", node):
                    return ""
                return "can only list/watch podcertificaterequests with nodeName field selector"
            case _:
                return f"nodes may not {asked.verb} podcertificaterequests"


# A refusal of which the server does not say why.
_SILENT = "-"


def _yes(rule: str) -> Opinion:
    return Opinion(Decision.ALLOW, "", "", rule)


def _no(reason: str) -> Opinion:
    return Opinion(Decision.NO_OPINION, reason)


def _selects(asked: Attributes, field: str, node: str) -> bool:
    return any(
        term.key == field and term.operator == "In" and term.values == (node,)
        for term in asked.fields
    )


def _lease(node: str, asked: Attributes) -> str:
    if asked.verb not in _OWN_VERBS:
        return "can only get, create, update, patch, or delete a node lease"
    if asked.namespace != _LEASE_NAMESPACE:
        return f'can only access leases in the "{_LEASE_NAMESPACE}" system namespace'
    if asked.verb != "create" and asked.name != node:
        return "can only access node lease with the same name as the requesting node"
    return ""


def _csi_node(node: str, asked: Attributes) -> str:
    if asked.verb not in _OWN_VERBS:
        return "can only get, create, update, patch, or delete a CSINode"
    if asked.subresource:
        return "cannot authorize CSINode subresources"
    if asked.verb != "create" and asked.name != node:
        return "can only access CSINode with the same name as the requesting node"
    return ""


def _own_node(node: str, asked: Attributes) -> str:
    match asked.subresource, asked.verb:
        case ("", "create" | "update" | "patch") | ("status", "update" | "patch"):
            return ""
        case "", "get" | "list" | "watch":
            if asked.name == node:
                return ""
            what = f"'{asked.name}'" if asked.name else "all nodes"
            return f"node '{node}' cannot read {what}, only its own Node object"
        case _:
            return _SILENT
