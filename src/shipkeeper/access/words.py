"""The words of a question, as kubectl takes them: `deploy`, `widgets.example.com`. Pure."""

from collections.abc import Iterable

import msgspec

from shipkeeper.access.attributes import Attributes, User
from shipkeeper.errors import UsageError

# Group: the plurals of its built-in kinds, each with its short names after a colon.
_BUILT_IN = {
    "": "bindings componentstatuses:cs configmaps:cm endpoints:ep events:ev limitranges:limits"
    " namespaces:ns nodes:no persistentvolumeclaims:pvc persistentvolumes:pv pods:po podtemplates"
    " replicationcontrollers:rc resourcequotas:quota secrets serviceaccounts:sa services:svc users"
    " groups uids",
    "admissionregistration.k8s.io": "mutatingwebhookconfigurations validatingwebhookconfigurations"
    " validatingadmissionpolicies validatingadmissionpolicybindings mutatingadmissionpolicies"
    " mutatingadmissionpolicybindings",
    "apiextensions.k8s.io": "customresourcedefinitions:crd,crds",
    "apiregistration.k8s.io": "apiservices",
    "apps": "controllerrevisions daemonsets:ds deployments:deploy replicasets:rs statefulsets:sts",
    "authentication.k8s.io": "tokenreviews selfsubjectreviews userextras",
    "authorization.k8s.io": "localsubjectaccessreviews selfsubjectaccessreviews"
    " selfsubjectrulesreviews subjectaccessreviews",
    "autoscaling": "horizontalpodautoscalers:hpa",
    "batch": "cronjobs:cj jobs",
    "certificates.k8s.io": "certificatesigningrequests:csr signers clustertrustbundles"
    " podcertificaterequests",
    "coordination.k8s.io": "leases",
    "discovery.k8s.io": "endpointslices",
    "flowcontrol.apiserver.k8s.io": "flowschemas prioritylevelconfigurations",
    "networking.k8s.io": "ingresses:ing ingressclasses networkpolicies:netpol ipaddresses:ip"
    " servicecidrs",
    "node.k8s.io": "runtimeclasses",
    "policy": "poddisruptionbudgets:pdb podsecuritypolicies:psp",
    "rbac.authorization.k8s.io": "clusterrolebindings clusterroles rolebindings roles",
    "resource.k8s.io": "deviceclasses resourceclaims resourceclaimtemplates resourceslices",
    "scheduling.k8s.io": "priorityclasses:pc",
    "storage.k8s.io": "csidrivers csinodes csistoragecapacities storageclasses:sc volumeattachments"
    " volumeattributesclasses:vac",
}
CLUSTER_SCOPED = frozenset(
    {
        "componentstatuses",
        "namespaces",
        "nodes",
        "persistentvolumes",
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "customresourcedefinitions",
        "apiservices",
        "tokenreviews",
        "selfsubjectreviews",
        "selfsubjectaccessreviews",
        "selfsubjectrulesreviews",
        "subjectaccessreviews",
        "certificatesigningrequests",
        "clustertrustbundles",
        "flowschemas",
        "prioritylevelconfigurations",
        "ingressclasses",
        "ipaddresses",
        "servicecidrs",
        "runtimeclasses",
        "podsecuritypolicies",
        "clusterrolebindings",
        "clusterroles",
        "deviceclasses",
        "resourceslices",
        "priorityclasses",
        "csidrivers",
        "csinodes",
        "storageclasses",
        "volumeattachments",
        "volumeattributesclasses",
    }
)


class ResourceName(msgspec.Struct, frozen=True):
    """A resource of a group (empty for core), as rules spell it."""

    group: str
    resource: str
    subresource: str = ""

    def __str__(self) -> str:
        group = f".{self.group}" if self.group else ""
        return f"{self.resource}{group}" + (f"/{self.subresource}" if self.subresource else "")


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A verb on a resource or a URL path, in one namespace, in all, or in none (cluster-wide)."""

    verb: str
    target: ResourceName | None = None
    path: str = ""
    name: str = ""
    namespace: str = ""

    def of(self, user: User, namespace: str | None = None) -> Attributes:
        """The question as one user's request."""
        if self.target is None:
            return Attributes(user=user, verb=self.verb, path=self.path, resource_request=False)
        return Attributes(
            user=user,
            verb=self.verb,
            group=self.target.group,
            resource=self.target.resource,
            subresource=self.target.subresource,
            name=self.name,
            namespace=self.namespace if namespace is None else namespace,
        )

    @property
    def is_cluster_scoped(self) -> bool:
        """Whether it is about something that has no namespace."""
        return self.target is None or self.target.resource in CLUSTER_SCOPED

    def __str__(self) -> str:
        return str(self.of(User()))


def _table(extra: Iterable[ResourceName]) -> dict[str, ResourceName]:
    found: dict[str, ResourceName] = {}
    for group, words in _BUILT_IN.items():
        for word in words.split():
            plural, _, shorts = word.partition(":")
            name = ResourceName(group, plural)
            for called in (plural, _singular(plural), *filter(None, shorts.split(","))):
                found.setdefault(called, name)
                found.setdefault(f"{called}.{group}", name)
    for name in extra:
        found.setdefault(name.resource, name)
        found.setdefault(f"{name.resource}.{name.group}", name)
    return found


def _singular(plural: str) -> str:
    if plural.endswith("ies"):
        return f"{plural[:-3]}y"
    return plural[:-2] if plural.endswith(("sses", "ses")) else plural.removesuffix("s")


_KNOWN = _table(())


def resource_name(word: str) -> ResourceName:
    """What a word means; what is not known is taken as it stands, its group after the dot."""
    called, _, subresource = word.partition("/")
    found = _KNOWN.get(called.lower())
    if found is None:
        resource, _, group = called.partition(".")
        found = ResourceName(group, resource)
    return ResourceName(found.group, found.resource, subresource)


def is_known(target: ResourceName) -> bool:
    """Whether a resource is Kubernetes' own, or a custom one, whose group is always said."""
    return bool(target.group) or target.resource in (*_KNOWN, "*")


def question(verb: str, what: str, name: str = "", namespace: str = "") -> Question:
    """A question in words; one about a cluster-scoped resource has no namespace."""
    if what.startswith("/"):
        if name:
            raise UsageError(
                f"{what} is a URL, which has no name in it",
                reason="InvalidQuestion",
                hint="ask about a URL alone: shipkeeper access can-i get /metrics",
            )
        return Question(verb=verb, path=what)
    # kubectl's `pods/web-0` names an object; a subresource comes with --subresource or a name.
    target = resource_name(what)
    where = "" if target.resource in CLUSTER_SCOPED else namespace
    if target.resource == "namespaces" and not target.group and verb != "create":
        # A request for a namespace is one in it: rights that are held in it alone are enough.
        where = name
    return Question(verb=verb, target=target, name=name, namespace=where)
