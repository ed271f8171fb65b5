"""The subresources that Kubernetes serves, by resource. Pure."""

_STATUS = ("status",)
_SCALED = ("scale", "status")
SUBRESOURCES: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "namespaces"): ("finalize", "status"),
    ("", "nodes"): ("proxy", "status"),
    ("", "persistentvolumeclaims"): _STATUS,
    ("", "persistentvolumes"): _STATUS,
    ("", "pods"): (
        "attach",
        "binding",
        "ephemeralcontainers",
        "eviction",
        "exec",
        "log",
        "portforward",
        "proxy",
        "resize",
        "status",
    ),
    ("", "replicationcontrollers"): _SCALED,
    ("", "resourcequotas"): _STATUS,
    ("", "serviceaccounts"): ("token",),
    ("", "services"): ("proxy", "status"),
    ("apiextensions.k8s.io", "customresourcedefinitions"): _STATUS,
    ("apiregistration.k8s.io", "apiservices"): _STATUS,
    ("apps", "daemonsets"): _STATUS,
    ("apps", "deployments"): _SCALED,
    ("apps", "replicasets"): _SCALED,
    ("apps", "statefulsets"): _SCALED,
    ("autoscaling", "horizontalpodautoscalers"): _STATUS,
    ("batch", "cronjobs"): _STATUS,
    ("batch", "jobs"): _STATUS,
    ("certificates.k8s.io", "certificatesigningrequests"): ("approval", "status"),
    ("flowcontrol.apiserver.k8s.io", "flowschemas"): _STATUS,
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"): _STATUS,
    ("networking.k8s.io", "ingresses"): _STATUS,
    ("networking.k8s.io", "networkpolicies"): _STATUS,
    ("policy", "poddisruptionbudgets"): _STATUS,
    ("resource.k8s.io", "resourceclaims"): _STATUS,
    ("storage.k8s.io", "volumeattachments"): _STATUS,
}


def subresources(group: str, resource: str) -> tuple[str, ...]:
    """Those of one resource; with group `*` of the resources of that name in any group."""
    if group == "*":
        return tuple(
            sorted(
                {
                    each
                    for key, found in SUBRESOURCES.items()
                    if key[1] == resource
                    for each in found
                }
            )
        )
    return SUBRESOURCES.get((group, resource), ())
