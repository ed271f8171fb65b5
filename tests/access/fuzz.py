"""Random policies of all four modes, and random questions about them."""

import random
import zlib
from typing import Any

import msgspec
import yaml

from shipkeeper.access.attributes import Attributes
from shipkeeper.access.webhook import Reply

NAMESPACES = ("fuzz-a", "fuzz-b", "fuzz-c")
NODES = ("fuzz-node-1", "fuzz-node-2")
ACCOUNTS = ("default", "robot", "ci")
USERS = (
    "alice",
    "bob",
    "carol",
    "Alice",
    "system:masters",
    "system:anonymous",
    *(f"system:node:{node}" for node in NODES),
    "system:node:",
    *(f"system:serviceaccount:{ns}:{sa}" for ns in NAMESPACES[:2] for sa in ACCOUNTS[:2]),
)
GROUPS = (
    "devs",
    "ops",
    "system:authenticated",
    "system:unauthenticated",
    "system:nodes",
    "system:serviceaccounts",
    "system:serviceaccounts:fuzz-a",
)
VERBS = (
    *("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"),
    *("impersonate", "bind", "GET", "use"),
)
API_GROUPS = ("", "apps", "storage.k8s.io", "coordination.k8s.io", "resource.k8s.io", "example.com")
RESOURCES = (
    *("pods", "secrets", "configmaps", "services", "nodes", "events", "persistentvolumeclaims"),
    *("persistentvolumes", "serviceaccounts", "deployments", "leases", "csinodes"),
    *("volumeattachments", "resourceclaims", "resourceslices", "widgets", "pods/log"),
)
SUBRESOURCES = ("", "", "", "log", "status", "token", "exec", "scale")
NAMES = ("", "", "one", "two", "token", *NODES, "claim", "volume")
PATHS = ("/", "/healthz", "/healthz/ping", "/metrics", "/api", "/apis/apps", "/m", "/m/x", "")
URLS = ("*", "/healthz", "/healthz/*", "/m/*", "/m*", "/metrics", "/api**", "/apis/*")

CONDITIONS = (
    "request.user != 'bob'",
    "has(request.resourceAttributes)",
    "has(request.resourceAttributes) && request.resourceAttributes.namespace == 'fuzz-a'",
    "!('devs' in request.groups)",
    "request.groups.exists(g, g.startsWith('system:'))",
    "request.resourceAttributes.verb != 'get'",
    "request.nonResourceAttributes.path.startsWith('/m')",
    "'team' in request.extra && request.extra['team'].exists(t, t == 'red')",
    "request.resourceAttributes.name == '' || request.resourceAttributes.subresource == ''",
    "size(request.groups) > 1",
    "request.uid == ''",
    "request.user.matches('^[a-z]+$')",
    "request.extra['team'][0] == 'red'",
)


class Fuzz:
    """A stream of random policies and questions; the same seed gives the same."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def _some(self, pool: tuple[str, ...], most: int, star: float = 0.1) -> list[str]:
        if self.random.random() < star:
            return ["*"]
        return self.random.sample(pool, self.random.randint(1, min(most, len(pool))))

    def rule(self) -> dict[str, Any]:
        """A rule of a role; now and then of a form that means nothing."""
        if self.random.random() < 0.2:
            return {"verbs": self._some(VERBS, 3), "nonResourceURLs": self._some(URLS, 2, 0)}
        resources = self._some(RESOURCES, 4)
        if self.random.random() < 0.25:
            resources = [*resources, self.random.choice(("*/log", "*/status", "pods/*", "*/*"))]
        rule: dict[str, Any] = {
            "verbs": self._some(VERBS, 4),
            "apiGroups": self._some(API_GROUPS, 3),
            "resources": resources,
        }
        if self.random.random() < 0.3:
            rule["resourceNames"] = self._some(NAMES[2:], 3, 0.05)
        return rule

    def rules(self) -> list[dict[str, Any]]:
        return [self.rule() for _ in range(self.random.randint(1, 3))]

    def cluster_rules(self, *, urls: bool) -> list[dict[str, Any]]:
        return [each for each in self.rules() if urls or "nonResourceURLs" not in each]

    def subject(self, *, clusterwide: bool) -> dict[str, Any]:
        sort = self.random.random()
        if sort < 0.4:
            return _subject("User", self.random.choice(USERS))
        if sort < 0.75:
            return _subject("Group", self.random.choice(GROUPS))
        account: dict[str, Any] = {"kind": "ServiceAccount"}
        account["name"] = self.random.choice(ACCOUNTS)
        if clusterwide or self.random.random() < 0.5:
            account["namespace"] = self.random.choice(NAMESPACES)
        return account

    def rbac(self, roles: int = 12, bindings: int = 20) -> list[dict[str, Any]]:
        """Roles of both sorts and bindings, some of them to roles that are not there."""
        made: list[dict[str, Any]] = []
        for number in range(roles):
            where = self.random.choice((*NAMESPACES, ""))
            kind = "Role" if where else "ClusterRole"
            role = rbac(kind, f"fuzz-role-{number % 8}", where)
            role["rules"] = self.cluster_rules(urls=not where)
            made.append(role)
        for number in range(bindings):
            where = self.random.choice((*NAMESPACES, "", ""))
            kind = "RoleBinding" if where else "ClusterRoleBinding"
            binding = rbac(kind, f"fuzz-binding-{number}", where)
            of = "Role" if where and self.random.random() < 0.5 else "ClusterRole"
            name = f"fuzz-role-{self.random.randrange(10)}"
            group = "rbac.authorization.k8s.io"
            binding["roleRef"] = {"apiGroup": group, "kind": of, "name": name}
            count = self.random.randint(0, 3)
            binding["subjects"] = [self.subject(clusterwide=not where) for _ in range(count)]
            made.append(binding)
        unique = {(each["kind"], *_key(each)): each for each in made}
        return list(unique.values())

    def abac(self, lines: int = 25) -> str:
        """A policy file of both forms, with comments and blank lines."""
        return "\n".join(self._abac_line() for _ in range(lines)) + "\n"

    def _abac_line(self) -> str:
        if self.random.random() < 0.1:
            return self.random.choice(("", "# a comment", "   "))
        spec: dict[str, Any] = {}
        if self.random.random() < 0.6:
            spec["user"] = self.random.choice(
                (*USERS, "*") if self.random.random() < 0.1 else USERS
            )
        if self.random.random() < 0.4:
            spec["group"] = self.random.choice(GROUPS)
        if self.random.random() < 0.8:
            spec["namespace"] = self.random.choice((*NAMESPACES, "*", ""))
            spec["resource"] = self.random.choice((*RESOURCES, "*", ""))
        spec["readonly"] = self.random.random() < 0.4
        if self.random.random() < 0.15:
            # Of the older form, in which nothing said means everything.
            if self.random.random() < 0.8:
                spec["resource"] = self.random.choice(RESOURCES)
            spec.setdefault("user", self.random.choice(USERS))
            return msgspec.json.encode(spec).decode()
        spec["apiGroup"] = self.random.choice((*API_GROUPS, "*"))
        if self.random.random() < 0.3:
            spec["nonResourcePath"] = self.random.choice(URLS)
        head = {"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy"}
        return msgspec.json.encode({**head, "spec": spec}).decode()

    def modes(self, *, webhook: bool = True) -> list[str]:
        """A random chain for flags."""
        wanted = ["RBAC", "ABAC", "Node"] + (["Webhook"] if webhook else [])
        self.random.shuffle(wanted)
        if self.random.random() < 0.3:
            wanted.insert(self.random.randrange(len(wanted)), "AlwaysDeny")
        if self.random.random() < 0.1:
            wanted.append("AlwaysAllow")
        return wanted

    def configuration(self, kubeconfig: str) -> str:
        """A random AuthorizationConfiguration with one to three webhooks."""
        authorizers: list[dict[str, Any]] = []
        modes = [mode for mode in self.modes(webhook=False) if mode != "AlwaysAllow"]
        for mode in (*modes, *["Webhook"] * self.random.randint(1, 3)):
            each: dict[str, Any] = {"type": mode, "name": mode.lower()}
            if mode == "Webhook":
                each["name"] = f"webhook-{len(authorizers)}.example"
                conditions = self.random.sample(CONDITIONS, self.random.randint(0, 3))
                each["webhook"] = {
                    "timeout": "10s",
                    "authorizedTTL": "5m",
                    "unauthorizedTTL": "30s",
                    "subjectAccessReviewVersion": self.random.choice(("v1", "v1beta1")),
                    "matchConditionSubjectAccessReviewVersion": "v1",
                    "failurePolicy": self.random.choice(("NoOpinion", "Deny")),
                    "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": kubeconfig},
                    "matchConditions": [{"expression": each} for each in conditions],
                }
            authorizers.append(each)
        self.random.shuffle(authorizers)
        head = {
            "apiVersion": "apiserver.config.k8s.io/v1",
            "kind": "AuthorizationConfiguration",
        }
        return yaml.safe_dump({**head, "authorizers": authorizers})

    def question(self) -> dict[str, Any]:
        """A review's spec; one in fifty is of no valid form."""
        return self._of_kubelet() if self.random.random() < 0.4 else self._of_anybody()

    def _of_anybody(self) -> dict[str, Any]:
        spec: dict[str, Any] = {}
        if self.random.random() < 0.95:
            spec["user"] = self.random.choice(USERS)
        if self.random.random() < 0.75:
            spec["groups"] = self._some(GROUPS, 3, 0)
        if spec.get("user", "").startswith("system:node:") and self.random.random() < 0.8:
            spec["groups"] = ["system:nodes", *self._some(GROUPS, 1, 0)]
        if self.random.random() < 0.02:
            spec.setdefault("groups", []).append("system:masters")
        if self.random.random() < 0.1:
            spec["extra"] = {"team": [self.random.choice(("red", "blue"))]}
        if self.random.random() < 0.1:
            spec["uid"] = "u-1"
        if self.random.random() < 0.15:
            verb = self.random.choice(VERBS)
            spec["nonResourceAttributes"] = {"path": self.random.choice(PATHS), "verb": verb}
        if "nonResourceAttributes" not in spec or self.random.random() < 0.05:
            spec["resourceAttributes"] = self._resource()
        if self.random.random() < 0.01:
            del spec[self.random.choice([*spec])]
        return spec

    def _of_kubelet(self) -> dict[str, Any]:
        """What kubelets ask about, by name or selector, and mostly of their own node."""
        node = self.random.choice(NODES)
        if self.random.random() < 0.4:
            return _by_kubelet(node, self._read_by_kubelets())
        resource = self.random.choice(_OF_KUBELETS)
        names = ACCOUNTS if resource == "serviceaccounts" else (*NAMES, *NODES)
        about: dict[str, Any] = {
            "verb": self.random.choice(VERBS[:8]),
            "group": _GROUP_OF.get(resource, ""),
            "resource": resource,
            "name": self.random.choice(names),
        }
        if resource in _NAMESPACED:
            about["namespace"] = self.random.choice((*NAMESPACES, "kube-node-lease"))
        if resource in _WRITES and self.random.random() < 0.5:
            about["verb"], about["subresource"] = self.random.choice(_WRITES[resource])
        elif self.random.random() < 0.2:
            about["subresource"] = self.random.choice(SUBRESOURCES)
        if self.random.random() < 0.4:
            field = self.random.choice(("spec.nodeName", "spec.nodeName", "nodeName"))
            about["fieldSelector"] = {"rawSelector": f"{field}={self.random.choice(NODES)}"}
        return _by_kubelet(node, about)

    def _read_by_kubelets(self) -> dict[str, Any]:
        """What only the graph of pods and volumes tells: which Secret is whose, and the like."""
        resource = self.random.choice(("secrets", "secrets", "configmaps", *_OF_GRAPH))
        about = {"verb": "get", "group": _GROUP_OF.get(resource, ""), "resource": resource}
        about["name"] = self.random.choice(NAMES[2:])
        if resource in _NAMESPACED:
            about["namespace"] = self.random.choice(NAMESPACES)
        return about

    def _resource(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "namespace": self.random.choice((*NAMESPACES, "", "kube-node-lease")),
            "verb": self.random.choice(VERBS),
            "group": self.random.choice((*API_GROUPS, "", "")),
            "resource": self.random.choice((*RESOURCES, "*") if self._rarely() else RESOURCES),
            "subresource": self.random.choice(SUBRESOURCES),
            "name": self.random.choice(NAMES),
        }
        if self.random.random() < 0.5:
            # Mostly a question of the resource's own group.
            found["group"] = _GROUP_OF.get(found["resource"], "")
        found = {key: value for key, value in found.items() if value or self._rarely()}
        if self.random.random() < 0.1:
            found["fieldSelector"] = self._selector()
        return found

    def _rarely(self) -> bool:
        return self.random.random() < 0.1

    def _selector(self) -> dict[str, Any]:
        field = self.random.choice(("spec.nodeName", "nodeName", "metadata.name"))
        node = self.random.choice(NODES)
        if self.random.random() < 0.4:
            return {"rawSelector": self.random.choice((f"{field}={node}", f"{field}!={node}", "x"))}
        operator = self.random.choice(("In", "In", "NotIn", "Exists", "Odd"))
        values = [node] if operator in ("In", "NotIn", "Odd") else []
        if self._rarely():
            values = [*values, "other"]
        return {"requirements": [{"key": field, "operator": operator, "values": values}]}


_NAMESPACED = (
    *("pods", "secrets", "configmaps", "persistentvolumeclaims", "serviceaccounts", "leases"),
    *("resourceclaims", "podcertificaterequests"),
)
_OF_KUBELETS = (
    *_NAMESPACED,
    *("nodes", "persistentvolumes", "csinodes", "volumeattachments", "resourceslices"),
    "clustertrustbundles",
)
_OF_GRAPH = (
    *("persistentvolumeclaims", "persistentvolumes", "volumeattachments", "pods"),
    *("resourceclaims", "resourceslices"),
)
# What kubelets write, beside what is read more often.
_WRITES = {
    "serviceaccounts": (("create", "token"), ("get", ""), ("get", "token")),
    "persistentvolumeclaims": (("update", "status"), ("patch", "status"), ("get", "status")),
    "nodes": (("patch", "status"), ("update", "status"), ("create", "")),
    "pods": (("patch", "status"), ("create", "eviction"), ("delete", "")),
    "leases": (("create", ""), ("update", ""), ("patch", "status")),
}
_GROUP_OF = {
    "podcertificaterequests": "certificates.k8s.io",
    "clustertrustbundles": "certificates.k8s.io",
    "deployments": "apps",
    "leases": "coordination.k8s.io",
    "csinodes": "storage.k8s.io",
    "volumeattachments": "storage.k8s.io",
    "resourceclaims": "resource.k8s.io",
    "resourceslices": "resource.k8s.io",
    "widgets": "example.com",
}


def rbac(kind: str, name: str, namespace: str) -> dict[str, Any]:
    """The head of a role or binding."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata}


def _subject(kind: str, name: str) -> dict[str, Any]:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}


def _by_kubelet(node: str, about: dict[str, Any]) -> dict[str, Any]:
    return {
        "user": f"system:node:{node}",
        "groups": ["system:nodes", "system:authenticated"],
        "resourceAttributes": about,
    }


def _key(manifest: dict[str, Any]) -> tuple[str, str]:
    metadata = manifest["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def webhook_reply(asked: Attributes) -> Reply:
    """What the test's webhook says to a question: always the same, and all there is."""
    lot = zlib.crc32(repr(asked).encode()) % 20
    reason = "" if lot % 2 else "by lot"
    match lot:
        case 0 | 1:
            return Reply(allowed=True, reason=reason)
        case 2:
            return Reply(denied=True, reason=reason)
        case 3:
            return Reply(allowed=True, denied=True, reason=reason)
        case 4:
            return Reply(error="the webhook answered 400")
        case _:
            # Mostly it leaves it to the others, of which little would be seen otherwise.
            return Reply(reason=reason)
