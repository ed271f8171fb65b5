"""What the operator may do: every rule, and for what; a test finds none unused and none missing.

Pure. Roles of namespaces come first: what is allowed in one namespace is not allowed in all.
"""

from shipkeeper.nodes.outside import MEDIK8S_NAMESPACE
from shipkeeper.operator.api.kind import GROUP
from shipkeeper.operator.backups.grants import BACKUP_EXTRAS, OWN_EXTRAS
from shipkeeper.operator.grant import Grant
from shipkeeper.operator.upgrades.grants import UPGRADE_EXTRAS


def own_namespace(lease: str) -> tuple[Grant, ...]:
    """What it may do where it lives: lead, and keep journals."""
    return (
        Grant(
            group="coordination.k8s.io",
            resources=("leases",),
            verbs=("create",),
            why="make the Lease that says who leads",
        ),
        Grant(
            group="coordination.k8s.io",
            resources=("leases",),
            verbs=("get", "list", "watch", "patch"),
            names=(lease,),
            why="lead, and stand by",
        ),
        Grant(
            group="",
            resources=("configmaps",),
            verbs=("create", "list", "patch"),
            why="keep the journals of runs",
        ),
    )


def cluster_lock(name: str) -> tuple[Grant, ...]:
    """What it may do in kube-system: hold the lock that keeps two runs from meeting."""
    return (
        Grant(
            group="coordination.k8s.io",
            resources=("leases",),
            verbs=("create",),
            why="make the cluster's lock",
        ),
        Grant(
            group="coordination.k8s.io",
            resources=("leases",),
            verbs=("get", "patch"),
            names=(name,),
            why="hold the cluster's lock",
        ),
    )


def events() -> tuple[Grant, ...]:
    """What it may do in the namespace default, where Events about nodes and our objects are."""
    return (Grant(group="", resources=("events",), verbs=("create",), why="tell of what it does"),)


def everywhere(plurals: tuple[str, ...]) -> tuple[Grant, ...]:
    """What it may do in the whole cluster, one group after the other."""
    return (*own_kinds(plurals), *nodes(), *departures(), *surroundings())


def looking_on(plurals: tuple[str, ...]) -> tuple[Grant, ...]:
    """The same of an operator that only looks: it writes nothing but how objects of ours stand."""
    follow, _, tell = own_kinds(plurals)
    reading = (each.reading for each in (*nodes(), *departures(), *surroundings()))
    return (follow, tell, *(each for each in reading if each is not None))


def own_kinds(plurals: tuple[str, ...]) -> tuple[Grant, ...]:
    """What is asked for, and telling how that stands."""
    return (
        Grant(
            group=GROUP,
            resources=plurals,
            verbs=("list", "watch"),
            why="follow what is asked for",
        ),
        Grant(
            group=GROUP,
            resources=("clusterupgrades", "nodemaintenances"),
            verbs=("patch",),
            why="hold a maintenance, or an upgrade, until it is taken back",
        ),
        Grant(
            group=GROUP,
            resources=tuple(f"{each}/status" for each in plurals),
            verbs=("patch",),
            why="tell how it stands",
        ),
    )


def nodes() -> tuple[Grant, ...]:
    """Nodes are taken out of service and put back."""
    return (
        Grant(
            group="",
            resources=("nodes",),
            verbs=("get", "list", "watch", "patch"),
            why="cordon, taint and uncordon",
        ),
        Grant(
            group="",
            resources=("nodes/status",),
            verbs=("patch",),
            why="conditions that tell of maintenance",
        ),
    )


def departures() -> tuple[Grant, ...]:
    """Pods leave nodes, by what allows it."""
    return (
        Grant(
            group="",
            resources=("pods",),
            verbs=("list", "watch"),
            why="see who must move, and whether they fit",
        ),
        Grant(group="", resources=("pods/eviction",), verbs=("create",), why="evict"),
        Grant(
            group="policy",
            resources=("poddisruptionbudgets",),
            verbs=("list", "watch"),
            why="heed budgets",
        ),
    )


def surroundings() -> tuple[Grant, ...]:
    """What has to be known of the cluster beside nodes and pods; nothing of it is written."""
    return (
        Grant(
            group="",
            resources=("namespaces",),
            verbs=("get",),
            names=("kube-system", MEDIK8S_NAMESPACE),
            why="know this cluster, and other tools' namespaces",
        ),
        Grant(
            group="apps",
            resources=("daemonsets", "deployments", "replicasets", "statefulsets"),
            verbs=("list", "watch"),
            why="know controllers, and the cluster's health",
        ),
        Grant(
            group="",
            resources=("persistentvolumeclaims", "persistentvolumes"),
            verbs=("list",),
            why="know where volumes are bound",
        ),
        Grant(
            group="storage.k8s.io",
            resources=("volumeattachments",),
            verbs=("list", "watch"),
            why="see volumes leave a node",
        ),
        Grant(
            group="storage.k8s.io",
            resources=("csidrivers",),
            verbs=("get",),
            why="know which volumes are attached to nodes",
        ),
        Grant(
            group="coordination.k8s.io",
            resources=("leases",),
            verbs=("list",),
            why="see whether other tools hold a node",
        ),
    )


def only_looks(extra: str) -> bool:
    """Whether one of the `EXTRAS` is of use to an operator that only looks."""
    return all(each.reading == each for each in EXTRAS[extra]) and extra not in OWN_EXTRAS


# What only some maintenances need; whoever installs the operator says which of it is allowed.
EXTRAS: dict[str, tuple[Grant, ...]] = {
    "delete-pods": (
        Grant(
            group="",
            resources=("pods",),
            verbs=("delete",),
            why="end pods past their budgets (disableEviction, deadline)",
        ),
    ),
    "surge": (
        Grant(
            group="apps",
            resources=("deployments",),
            verbs=("get", "patch"),
            why="give a Deployment's only pod company",
        ),
        Grant(
            group="autoscaling",
            resources=("horizontalpodautoscalers",),
            verbs=("list",),
            why="leave alone what an autoscaler scales",
        ),
    ),
    "access-reports": (
        Grant(
            group="rbac.authorization.k8s.io",
            resources=("clusterrolebindings", "clusterroles", "rolebindings", "roles"),
            verbs=("list",),
            why="audit who may do what (AccessReport)",
        ),
        Grant(
            group="",
            resources=("namespaces", "secrets", "serviceaccounts"),
            verbs=("list",),
            why="audit who may do what; of Secrets, whose tokens they hold",
        ),
        Grant(
            group="networking.k8s.io",
            resources=("networkpolicies",),
            verbs=("list",),
            why="audit namespaces without any",
        ),
        Grant(
            group="resource.k8s.io",
            resources=("resourceslices",),
            verbs=("list",),
            why="know what kubelets may do",
        ),
        Grant(
            group="certificates.k8s.io",
            resources=("podcertificaterequests",),
            verbs=("list",),
            why="know what kubelets may do",
        ),
    ),
    "certificate-reports": (
        Grant(
            group="",
            resources=("secrets",),
            verbs=("list",),
            why="check certificates in TLS Secrets (CertificateReport)",
        ),
        Grant(
            group="",
            resources=("endpoints", "services"),
            verbs=("get",),
            why="find the ports of webhooks and aggregated APIs",
        ),
        Grant(
            group="networking.k8s.io",
            resources=("ingresses",),
            verbs=("list",),
            why="know for which names a certificate must be",
        ),
        Grant(
            group="certificates.k8s.io",
            resources=("certificatesigningrequests",),
            verbs=("list",),
            why="check certificates that were issued",
        ),
        Grant(
            group="admissionregistration.k8s.io",
            resources=("mutatingwebhookconfigurations", "validatingwebhookconfigurations"),
            verbs=("list",),
            why="check their caBundles",
        ),
        Grant(
            group="apiextensions.k8s.io",
            resources=("customresourcedefinitions",),
            verbs=("list",),
            why="check their caBundles",
        ),
        Grant(
            group="apiregistration.k8s.io",
            resources=("apiservices",),
            verbs=("list",),
            why="check their caBundles",
        ),
    ),
    "other-tools": (
        Grant(
            group="apps",
            resources=("daemonsets",),
            verbs=("get", "patch"),
            why="hold kured off",
        ),
        Grant(
            group="coordination.k8s.io",
            resources=("leases",),
            verbs=("get", "create", "patch", "delete"),
            why="hold medik8s' leases on nodes",
        ),
    ),
    **BACKUP_EXTRAS,
    **UPGRADE_EXTRAS,
}
# In the namespace of the pods through which hosts are entered: that is root on every node.
HOST_PODS = (
    Grant(
        group="",
        resources=("pods",),
        verbs=("create", "delete", "get"),
        why="enter hosts through privileged pods",
    ),
    Grant(
        group="",
        resources=("pods/exec",),
        verbs=("get", "create"),
        why="work on hosts through them",
    ),
)
