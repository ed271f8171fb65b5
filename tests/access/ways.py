"""Ways to more power as rules, what the audit must call them, and the requests that prove them."""

from typing import Any

import msgspec

from shipkeeper.access.assembly import from_manifests
from shipkeeper.access.policy import Policy
from shipkeeper.model.version import Version
from tests.access.fuzz import rbac

Rule = dict[str, Any]
NAMESPACE = "ways"
STRICT = "ways-strict"
CREW = "ways-crew"
_RBAC = "rbac.authorization.k8s.io"
_CSR = "certificates.k8s.io"
_AUTHN = "authentication.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
GATHERED = {"ways.example.com/gathered": "yes"}


def rule(verbs: str, resources: str, group: str = "", names: str = "") -> Rule:
    """Words separated by blanks."""
    made: Rule = {"verbs": verbs.split(), "apiGroups": [group], "resources": resources.split()}
    return {**made, "resourceNames": names.split()} if names else made


def _core(kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata}


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """Rules of one subject, bound in a namespace or everywhere, and the rule of the finding."""

    name: str
    rule: str
    rules: tuple[Rule, ...]
    namespace: str = NAMESPACE
    besides: tuple[Rule, ...] = ()
    """What else must be in the cluster."""

    @property
    def user(self) -> str:
        return f"way-{self.name}"

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [*bound(self.name, self.namespace, self.rules), *self.besides]


def everywhere(name: str, id_: str, *rules: Rule) -> Way:
    return Way(name=name, rule=id_, rules=rules, namespace="")


def inside(name: str, id_: str, *rules: Rule) -> Way:
    return Way(name=name, rule=id_, rules=rules)


def gathering() -> tuple[Rule, ...]:
    """A ClusterRole that gathers others by label, and whoever has it."""
    whole = rbac("ClusterRole", "gathering", "")
    whole["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": GATHERED}]}
    return (whole, granted("gathering", "gathering", {"kind": "User", "name": "way-join"}))


def granted(name: str, role: str, subject: Rule) -> Rule:
    """A ClusterRole bound everywhere."""
    binding = rbac("ClusterRoleBinding", name, "")
    binding["roleRef"] = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role}
    group = {} if subject["kind"] == "ServiceAccount" else {"apiGroup": _RBAC}
    return {**binding, "subjects": [{**group, **subject}]}


def crew() -> Rule:
    """A group that may do everything."""
    return granted(CREW, "cluster-admin", {"kind": "Group", "name": CREW})


def token_secret() -> tuple[Rule, ...]:
    """A Secret with a ServiceAccount's token."""
    metadata = {"name": "aboard", "namespace": NAMESPACE}
    annotations = {"kubernetes.io/service-account.name": "mighty"}
    secret = {
        **_core("Secret", "aboard", NAMESPACE),
        "type": "kubernetes.io/service-account-token",
        "metadata": {**metadata, "annotations": annotations},
    }
    return (secret,)


def with_token_aboard() -> tuple[Rule, ...]:
    """A pod that has a ServiceAccount's token as a Secret, and that Secret."""
    spec = {
        "nodeName": "ways-node",
        "tolerations": [{"operator": "Exists"}],
        "containers": [{"name": "main", "image": "example.com/mine"}],
        "volumes": [{"name": "token", "secret": {"secretName": "aboard"}}],
    }
    return (*token_secret(), {**_core("Pod", "aboard", NAMESPACE), "spec": spec})


GHOST = {"kind": "ServiceAccount", "namespace": STRICT, "name": "ghost"}

WAYS = (
    everywhere("list-secrets", "path-01", rule("list", "secrets")),
    everywhere("watch-secrets", "path-01", rule("watch", "secrets")),
    Way(
        name="named-secret",
        rule="path-01",
        rules=(rule("get", "secrets", names="mine"), rule("get", "secrets", names="aboard")),
        besides=with_token_aboard(),
    ),
    inside("create-pods", "path-02", rule("create", "pods")),
    inside("apply-pod", "path-02", rule("create patch", "pods", names="applied")),
    inside("create-deployments", "path-02", rule("create", "deployments", "apps")),
    inside("patch-deployments", "path-03", rule("patch", "deployments", "apps")),
    inside("patch-pods", "path-03", rule("patch", "pods")),
    inside("exec", "path-04", rule("create", "pods/exec")),
    inside("exec-one", "path-04", rule("create", "pods/exec", names="target")),
    inside("debug", "path-04", rule("patch", "pods/ephemeralcontainers")),
    everywhere("node-proxy", "path-05", rule("get", "nodes/proxy")),
    inside("tokens", "path-06", rule("create", "serviceaccounts/token")),
    inside("one-token", "path-06", rule("create", "serviceaccounts/token", names="mighty")),
    inside(
        "second-token",
        "path-06",
        rule("create", "serviceaccounts/token", names="nobody"),
        rule("create", "serviceaccounts/token", names="mighty"),
    ),
    inside("plant", "path-07", rule("create", "secrets"), rule("get", "secrets")),
    everywhere(
        "bind",
        "path-08",
        rule("create", "clusterrolebindings", _RBAC),
        rule("bind", "clusterroles", _RBAC),
    ),
    everywhere(
        "bind-one",
        "path-08",
        rule("create", "clusterrolebindings", _RBAC),
        rule("bind", "clusterroles", _RBAC, "cluster-admin"),
    ),
    everywhere(
        "bind-second",
        "path-08",
        rule("create", "clusterrolebindings", _RBAC),
        rule("bind", "clusterroles", _RBAC, "harmless"),
        rule("bind", "clusterroles", _RBAC, "cluster-admin"),
    ),
    everywhere("escalate", "path-08", rule("escalate patch", "clusterroles", _RBAC)),
    everywhere("impersonate", "path-08", rule("impersonate", "users groups")),
    everywhere(
        "impersonate-second",
        "path-08",
        rule("impersonate", "users", names="somebody"),
        rule("impersonate", "users", names="boss"),
    ),
    inside("impersonate-account", "path-08", rule("impersonate", "serviceaccounts")),
    everywhere(
        "constrained",
        "path-09",
        rule("impersonate:user-info", "users", _AUTHN),
        rule("impersonate-on:user-info:list", "secrets"),
    ),
    everywhere(
        "constrained-user",
        "path-09",
        rule("impersonate:user-info", "users", _AUTHN, "boss"),
        rule("impersonate-on:user-info:list", "secrets"),
    ),
    Way(
        name="constrained-group",
        rule="path-09",
        rules=(
            rule("impersonate:user-info", "users", _AUTHN, "somebody"),
            rule("impersonate:user-info", "groups", _AUTHN, CREW),
            rule("impersonate-on:user-info:list", "secrets"),
        ),
        namespace="",
        besides=(crew(),),
    ),
    Way(
        name="constrained-any-group",
        rule="path-09",
        rules=(
            rule("impersonate:user-info", "users", _AUTHN, "somebody"),
            rule("impersonate:user-info", "groups", _AUTHN),
            rule("impersonate-on:user-info:list", "secrets"),
        ),
        namespace="",
        besides=(crew(),),
    ),
    everywhere(
        "constrained-bind",
        "path-09",
        rule("impersonate:user-info", "users", _AUTHN, "boss"),
        rule("impersonate-on:user-info:create", "clusterrolebindings", _RBAC),
    ),
    Way(
        name="constrained-secret",
        rule="path-09",
        rules=(
            rule("impersonate:user-info", "users", _AUTHN, "boss"),
            rule("impersonate-on:user-info:get", "secrets", names="aboard"),
        ),
        namespace="",
        besides=token_secret(),
    ),
    everywhere(
        "constrained-list",
        "path-09",
        rule("impersonate:user-info", "users", _AUTHN),
        rule("impersonate-on:user-info:get", "secrets", names="one"),
        rule("impersonate-on:user-info:list", "secrets"),
    ),
    everywhere(
        "constrained-account",
        "path-09",
        rule("impersonate:serviceaccount", "serviceaccounts", _AUTHN),
        rule("impersonate-on:serviceaccount:list", "secrets"),
    ),
    everywhere(
        "constrained-node",
        "path-09",
        rule("impersonate:arbitrary-node", "nodes", _AUTHN),
        rule("impersonate-on:arbitrary-node:create", "serviceaccounts/token"),
    ),
    everywhere(
        "constrained-named-node",
        "path-09",
        rule("impersonate:arbitrary-node", "nodes", _AUTHN, "ways-node"),
        rule("impersonate-on:arbitrary-node:create", "serviceaccounts/token"),
    ),
    Way(
        name="constrained-node-secrets",
        rule="path-09",
        rules=(
            rule("impersonate:arbitrary-node", "nodes", _AUTHN, "ways-node"),
            rule("impersonate-on:arbitrary-node:get", "secrets"),
        ),
        namespace="",
        besides=with_token_aboard(),
    ),
    Way(
        name="constrained-node-secret",
        rule="path-09",
        rules=(
            rule("impersonate:arbitrary-node", "nodes", _AUTHN, "other-node"),
            rule("impersonate:arbitrary-node", "nodes", _AUTHN, "ways-node"),
            rule("impersonate-on:arbitrary-node:get", "secrets", names="aboard"),
        ),
        namespace="",
        besides=with_token_aboard(),
    ),
    everywhere(
        "approve",
        "path-10",
        rule("create", "certificatesigningrequests", _CSR),
        rule("update", "certificatesigningrequests/approval", _CSR),
        rule("approve", "signers", _CSR, "kubernetes.io/*"),
    ),
    everywhere(
        "sign",
        "path-11",
        rule("patch", "certificatesigningrequests/status", _CSR),
        rule("sign", "signers", _CSR, CLIENT_SIGNER),
    ),
    everywhere("mutate", "path-12", rule("create", "mutatingwebhookconfigurations", _ADMISSION)),
    everywhere(
        "watchful", "path-12", rule("create", "validatingwebhookconfigurations", _ADMISSION)
    ),
    everywhere(
        "volume",
        "path-13",
        rule("create", "persistentvolumes persistentvolumeclaims pods"),
    ),
    Way(
        name="relabel",
        rule="path-14",
        rules=(rule("patch", "namespaces"), rule("create", "pods")),
        namespace="",
    ),
    Way(
        name="relabel-inside",
        rule="path-14",
        rules=(rule("patch", "namespaces", names=STRICT), rule("create", "pods")),
        namespace=STRICT,
    ),
    Way(
        name="join",
        rule="path-15",
        rules=(rule("escalate create", "clusterroles", _RBAC),),
        namespace="",
        besides=gathering(),
    ),
    everywhere("steal", "path-16", rule("patch", "nodes"), rule("create", "pods/eviction")),
    everywhere("shrink", "path-16", rule("patch", "nodes/status"), rule("delete", "pods")),
    everywhere("draw-by-pod", "path-16", rule("patch", "pods/status")),
    everywhere("draw-by-service", "path-16", rule("patch", "services/status")),
    Way(
        name="revive",
        rule="path-20",
        rules=(rule("create", "serviceaccounts serviceaccounts/token"),),
        namespace=STRICT,
        besides=(granted("ghost", "cluster-admin", GHOST),),
    ),
    Way(
        name="revive-by-name",
        rule="path-20",
        rules=(
            rule("create patch", "serviceaccounts", names="ghost"),
            rule("create", "serviceaccounts/token"),
        ),
        namespace=STRICT,
        besides=(granted("ghost", "cluster-admin", GHOST),),
    ),
)
# The first step of these is a part of a shorter way, which is told instead.
ALSO = {"volume": {"path-02"}, "relabel": {"path-02"}, "apply-pod": {"path-03"}}

LOOK_ALIKES: dict[str, tuple[str, tuple[Rule, ...]]] = {
    "read-pods": ("", (rule("get list watch", "pods"),)),
    "read-logs": ("", (rule("get", "pods/log"),)),
    "literal-star": ("", (rule("*", "pods/* secrets/*"),)),
    "one-secret": ("", (rule("get", "secrets", names="mine"),)),
    "pods-by-name": (NAMESPACE, (rule("create", "pods", names="mine"),)),
    "bindings-by-name": (
        "",
        (
            rule("create", "clusterrolebindings", _RBAC, "mine"),
            rule("bind", "clusterroles", _RBAC),
        ),
    ),
    "secrets-of-apps": ("", (rule("get list", "secrets", "apps"),)),
    "shouted-verb": ("", (rule("GET LIST", "secrets"),)),
    "create-secrets": ("", (rule("create", "secrets"),)),
    "delete-secrets": ("", (rule("delete", "secrets"),)),
    "delete-pods": ("", (rule("delete", "pods"),)),
    "list-exec": ("", (rule("list", "pods/exec"),)),
    "exec-of-apps": ("", (rule("create", "pods/exec", "apps"),)),
    "exec-another": (NAMESPACE, (rule("create", "pods/exec", names="another"),)),
    "exec-one-elsewhere": (STRICT, (rule("create", "pods/exec", names="target"),)),
    "get-exec": ("", (rule("get", "pods/exec"),)),
    "forward": ("", (rule("create", "pods/portforward"),)),
    "node-proxy-in-namespace": (NAMESPACE, (rule("get create", "nodes/proxy"),)),
    "node-metrics": ("", (rule("get", "nodes/metrics nodes/stats"),)),
    "read-nodes": ("", (rule("get list watch", "nodes"),)),
    "delete-node-proxy": ("", (rule("delete", "nodes/proxy"),)),
    "create-accounts": ("", (rule("create", "serviceaccounts"),)),
    "accounts-and-tokens-that-nobody-is-bound-to": (
        STRICT,
        (rule("create", "serviceaccounts serviceaccounts/token"),),
    ),
    "get-tokens": ("", (rule("get", "serviceaccounts/token"),)),
    "read-accounts": ("", (rule("get list", "serviceaccounts"),)),
    "tokens-of-nobodies": (
        NAMESPACE,
        (
            rule("create", "serviceaccounts/token", names="nobody"),
            rule("create", "serviceaccounts/token", names="nobody-else"),
        ),
    ),
    "token-of-nobody": (NAMESPACE, (rule("create", "serviceaccounts/token", names="nobody"),)),
    "bind-alone": ("", (rule("bind", "clusterroles", _RBAC),)),
    "bind-harmless": (
        "",
        (
            rule("create", "clusterrolebindings", _RBAC),
            rule("bind", "clusterroles", _RBAC, "harmless"),
        ),
    ),
    "escalate-alone": ("", (rule("escalate", "clusterroles", _RBAC),)),
    "escalate-create": ("", (rule("escalate create", "clusterroles", _RBAC),)),
    "escalate-another": (
        "",
        (rule("escalate patch", "clusterroles", _RBAC, "harmless"),),
    ),
    "escalate-no-role-of-its-own": ("", (rule("escalate patch", "roles", _RBAC),)),
    "bindings-alone": ("", (rule("create update", "clusterrolebindings rolebindings", _RBAC),)),
    "roles-alone": ("", (rule("create update patch", "clusterroles roles", _RBAC),)),
    "impersonate-in-namespace": (NAMESPACE, (rule("impersonate", "users groups"),)),
    "impersonate-groups": ("", (rule("impersonate", "groups"),)),
    "impersonate-uids": ("", (rule("impersonate", "uids", _AUTHN),)),
    "impersonate-user-that-is-an-account": (
        "",
        (rule("impersonate", "users", names=f"system:serviceaccount:{NAMESPACE}:mighty"),),
    ),
    "constrained-group-of-an-account": (
        "",
        (
            rule("impersonate:serviceaccount", "serviceaccounts", _AUTHN, "nobody"),
            rule("impersonate:user-info", "groups", _AUTHN, CREW),
            rule("impersonate-on:user-info:list", "secrets"),
        ),
    ),
    "constrained-group-who": (
        "",
        (
            rule("impersonate:user-info", "users", _AUTHN, "somebody"),
            rule("impersonate:user-info", "groups", _AUTHN, CREW),
        ),
    ),
    "constrained-another-group": (
        "",
        (
            rule("impersonate:user-info", "users", _AUTHN, "somebody"),
            rule("impersonate:user-info", "groups", _AUTHN, "nobodies"),
            rule("impersonate-on:user-info:list", "secrets"),
        ),
    ),
    "constrained-pods-by-name": (
        "",
        (
            rule("impersonate:user-info", "users", _AUTHN),
            rule("impersonate-on:user-info:create", "pods", names="mine"),
        ),
    ),
    "constrained-who": ("", (rule("impersonate:user-info", "users", _AUTHN),)),
    "constrained-powerless": (
        "",
        (
            rule("impersonate:user-info", "users", _AUTHN, "somebody"),
            rule("impersonate-on:user-info:list", "secrets"),
        ),
    ),
    "constrained-masters": (
        "",
        (
            rule("impersonate:user-info", "users", _AUTHN, "somebody"),
            rule("impersonate:user-info", "groups", _AUTHN, "system:masters"),
            rule("impersonate-on:user-info:list", "secrets"),
        ),
    ),
    "constrained-group-alone": (
        "",
        (
            rule("impersonate:user-info", "groups", _AUTHN),
            rule("impersonate-on:user-info:list", "secrets"),
        ),
    ),
    "constrained-another-node": (
        "",
        (
            rule("impersonate:arbitrary-node", "nodes", _AUTHN, "other-node *"),
            rule("impersonate-on:arbitrary-node:create", "serviceaccounts/token"),
        ),
    ),
    "constrained-node-who": (
        "",
        (rule("impersonate:arbitrary-node", "nodes", _AUTHN, "ways-node"),),
    ),
    "constrained-node-what": (
        "",
        (rule("impersonate-on:arbitrary-node:create", "serviceaccounts/token"),),
    ),
    "constrained-node-of-another-mode": (
        "",
        (
            rule("impersonate:arbitrary-node", "nodes", _AUTHN, "ways-node"),
            rule("impersonate-on:user-info:create", "serviceaccounts/token"),
        ),
    ),
    "constrained-node-for-another-account": (
        "",
        (
            rule("impersonate:arbitrary-node", "nodes", _AUTHN, "ways-node"),
            rule("impersonate-on:arbitrary-node:create", "serviceaccounts/token", names="nobody"),
        ),
    ),
    "constrained-node-for-bindings": (
        "",
        (
            rule("impersonate:arbitrary-node", "nodes", _AUTHN),
            rule("impersonate-on:arbitrary-node:create", "clusterrolebindings", _RBAC),
        ),
    ),
    "node-of-no-pod": (
        "",
        (
            rule("impersonate:associated-node", "nodes", _AUTHN),
            rule("impersonate-on:associated-node:create", "serviceaccounts/token"),
        ),
    ),
    "constrained-user-that-is-an-account": (
        "",
        (
            rule(
                "impersonate:user-info",
                "users",
                _AUTHN,
                f"system:serviceaccount:{NAMESPACE}:mighty",
            ),
            rule("impersonate-on:user-info:list", "secrets"),
        ),
    ),
    "constrained-what": ("", (rule("impersonate-on:user-info:list", "secrets"),)),
    "approve-without-update": (
        "",
        (
            rule("create", "certificatesigningrequests", _CSR),
            rule("approve", "signers", _CSR, CLIENT_SIGNER),
        ),
    ),
    "update-without-approve": (
        "",
        (
            rule("create", "certificatesigningrequests", _CSR),
            rule("update", "certificatesigningrequests/approval", _CSR),
        ),
    ),
    "approve-another-signer": (
        "",
        (
            rule("create", "certificatesigningrequests", _CSR),
            rule("update", "certificatesigningrequests/approval", _CSR),
            rule("approve", "signers", _CSR, "example.com/*"),
        ),
    ),
    "sign-alone": ("", (rule("sign", "signers", _CSR, CLIENT_SIGNER),)),
    "status-alone": ("", (rule("patch", "certificatesigningrequests/status", _CSR),)),
    "read-webhooks": ("", (rule("get list", "mutatingwebhookconfigurations", _ADMISSION),)),
    "admission-policies": ("", (rule("create", "validatingadmissionpolicies", _ADMISSION),)),
    "volumes-alone": ("", (rule("create", "persistentvolumes persistentvolumeclaims"),)),
    "another-namespace": (
        STRICT,
        (rule("patch", "namespaces", names=NAMESPACE), rule("create", "pods")),
    ),
    "namespaces-alone": ("", (rule("patch", "namespaces"),)),
    "nodes-alone": ("", (rule("patch", "nodes nodes/status"),)),
    "evict-alone": ("", (rule("create", "pods/eviction"),)),
    "aws-auth-elsewhere": ("kube-system", (rule("update", "configmaps"),)),
    "scale": ("", (rule("update patch", "deployments/scale", "apps"),)),
    "status-of-deployments": ("", (rule("update", "deployments/status", "apps"),)),
    "network-policies": ("", (rule("delete", "networkpolicies", "networking.k8s.io"),)),
    "token-reviews": ("", (rule("create", "tokenreviews", _AUTHN),)),
    "events": ("", (rule("create patch", "events"),)),
    "urls": ("", ({"verbs": ["get"], "nonResourceURLs": ["/metrics", "/logs/*"]},)),
}


def bound(name: str, namespace: str, rules: tuple[Rule, ...]) -> list[dict[str, Any]]:
    """A role of these rules, bound to user way-NAME."""
    role = rbac("Role" if namespace else "ClusterRole", f"way-{name}", namespace)
    binding = rbac("RoleBinding" if namespace else "ClusterRoleBinding", f"way-{name}", namespace)
    role["rules"] = list(rules)
    binding["roleRef"] = {"apiGroup": _RBAC, "kind": role["kind"], "name": role["metadata"]["name"]}
    binding["subjects"] = [{"apiGroup": _RBAC, "kind": "User", "name": f"way-{name}"}]
    return [role, binding]


CLUSTER_ADMIN: Rule = {
    "apiVersion": f"{_RBAC}/v1",
    "kind": "ClusterRole",
    "metadata": {
        "name": "cluster-admin",
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
    },
    "rules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
}


def landscape(version: str = "v1.37.2") -> list[dict[str, Any]]:
    """A cluster worth robbing: a mighty ServiceAccount that runs, and everything around it."""
    harmless = rbac("ClusterRole", "harmless", "")
    harmless["rules"] = [rule("get", "pods")]
    mighty = rbac("ClusterRoleBinding", "mighty", "")
    mighty["roleRef"] = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": "cluster-admin"}
    mighty["subjects"] = [
        {"kind": "ServiceAccount", "name": "mighty", "namespace": NAMESPACE},
        {"apiGroup": _RBAC, "kind": "User", "name": "boss"},
    ]
    strict = {"pod-security.kubernetes.io/enforce": "restricted"}
    core: list[dict[str, Any]] = [
        _core("Namespace", NAMESPACE),
        {**_core("Namespace", STRICT), "metadata": {"name": STRICT, "labels": strict}},
        _core("Namespace", "kube-system"),
        _core("ServiceAccount", "mighty", NAMESPACE),
        _core("Node", "ways-node"),
        {
            **_core("Pod", "target", NAMESPACE),
            "spec": {"nodeName": "ways-node", "serviceAccountName": "mighty", "containers": []},
        },
    ]
    del version
    return [CLUSTER_ADMIN, harmless, mighty, *core]


def policy_with(*objects: dict[str, Any], version: str = "v1.37.2") -> Policy:
    """The landscape and further objects."""
    manifests = [*landscape(), *objects]
    return from_manifests(manifests, source="test", version=Version.parse(version))
