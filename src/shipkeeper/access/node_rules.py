"""The rules that hold for every kubelet, by version. Pure.

As NodeRules of k8s.io/kubernetes plugin/pkg/auth/authorizer/rbac/bootstrappolicy, with the default
feature gates; what the Node authorizer judges object by object is not among them.
"""

from shipkeeper.access.rule import Compiled
from shipkeeper.model.rbac import PolicyRule

_READ = ("get", "list", "watch")

# First minors in which nodes write events of events.k8s.io, and read ClusterTrustBundles.
_NEW_EVENTS, _TRUST_BUNDLES, _SELECTORS = 30, 37, 32


def node_rules(minor: int) -> tuple[Compiled, ...]:
    """The rules of a version, 1.`minor`."""
    event_groups = ("", "events.k8s.io") if minor >= _NEW_EVENTS else ("",)
    rules = [
        _rule(("create",), "authentication.k8s.io", "tokenreviews"),
        _rule(
            ("create",),
            "authorization.k8s.io",
            "subjectaccessreviews",
            "localsubjectaccessreviews",
        ),
        _rule(_READ, "", "services"),
        *(_rule(("create", "update", "patch"), group, "events") for group in event_groups),
        _rule(("get",), "", "endpoints"),
        _rule(("create", *_READ), "certificates.k8s.io", "certificatesigningrequests"),
        _rule(_READ, "storage.k8s.io", "csidrivers"),
        _rule(_READ, "node.k8s.io", "runtimeclasses"),
    ]
    if minor < _SELECTORS:
        rules += [
            _rule(("create", *_READ, "update", "patch"), "", "nodes"),
            _rule(("update", "patch"), "", "nodes/status"),
            _rule((*_READ, "create", "delete"), "", "pods"),
            _rule(("update", "patch"), "", "pods/status"),
            _rule(("create",), "", "pods/eviction"),
        ]
    if minor >= _TRUST_BUNDLES:
        rules.append(_rule(_READ, "certificates.k8s.io", "clustertrustbundles"))
    return tuple(rules)


def _rule(verbs: tuple[str, ...], group: str, *resources: str) -> Compiled:
    return Compiled(PolicyRule(verbs=verbs, api_groups=(group,), resources=resources))
