"""Kubernetes' version-skew policy: each rule by name, as a function of minor versions; pure.

In every rule `oldest` and `newest` are the minors of the oldest and the newest API server. Source:
https://kubernetes.io/releases/version-skew-policy/ and KEP-3935 (kubelets three minors back).
"""

import msgspec

# Since this minor, a kubelet and a kube-proxy may be three minors older than the API servers.
LONG_SKEW_FROM = 25
LONG_SKEW = 3
SHORT_SKEW = 2


class Rule(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A rule of the policy; `says` ends the sentence "it breaks the rule that …"."""

    name: str
    says: str


API_SERVERS_WITHIN_ONE = Rule(
    name="ApiServersWithinOne", says="API servers are at most one minor version apart"
)
KUBELET_NOT_NEWER = Rule(
    name="KubeletNotNewer", says="a kubelet is never newer than the oldest API server"
)
KUBELET_TOO_OLD = Rule(
    name="KubeletTooOld",
    says="a kubelet of 1.25 or newer is at most three minor versions older than the newest "
    "API server",
)
KUBELET_BEFORE_125 = Rule(
    name="KubeletBefore125",
    says="a kubelet older than 1.25 is at most two minor versions older than the newest API server",
)
PROXY_NOT_NEWER = Rule(
    name="ProxyNotNewer", says="a kube-proxy is never newer than the oldest API server"
)
PROXY_TOO_OLD = Rule(
    name="ProxyTooOld",
    says="a kube-proxy of 1.25 or newer is at most three minor versions older than the newest "
    "API server",
)
PROXY_BEFORE_125 = Rule(
    name="ProxyBefore125",
    says="a kube-proxy older than 1.25 is at most two minor versions older than the newest "
    "API server",
)
PROXY_BESIDE_KUBELET = Rule(
    name="ProxyBesideKubelet",
    says="a kube-proxy is at most three minor versions (two, if it is older than 1.25) away from "
    "the kubelet on its node",
)
CONTROLLER_NOT_NEWER = Rule(
    name="ControllerNotNewer",
    says="a controller manager or scheduler is never newer than an API server that it may reach",
)
CONTROLLER_TOO_OLD = Rule(
    name="ControllerTooOld",
    says="a controller manager or scheduler is at most one minor version older than an API server "
    "that it may reach",
)
KUBECTL_WITHIN_ONE = Rule(
    name="KubectlWithinOne",
    says="kubectl is at most one minor version older or newer than every API server",
)
NO_MINOR_SKIPPED = Rule(
    name="NoMinorSkipped", says="API servers go from one minor version to the next, even alone"
)
NO_WAY_DOWN = Rule(name="NoWayDown", says="API servers do not go back to an older minor version")
KUBELET_DRAINED_FIRST = Rule(
    name="KubeletDrainedFirst",
    says="a node is drained before its kubelet changes its minor version",
)
KUBEADM_WITHIN_ONE = Rule(
    name="KubeadmWithinOne",
    says="kubeadm is of the target's minor version, and the cluster at most one minor older",
)
ETCD_ONE_MINOR = Rule(name="EtcdOneMinor", says="etcd goes from one minor version to the next")
ETCD_BEFORE_36 = Rule(
    name="EtcdBefore36",
    says="etcd is 3.5.24 or newer before it becomes 3.6 (older ones may lose their members' roles)",
)

NOT_REACHED = Rule(name="TargetNotReached", says="an upgrade ends with everything at its target")

RULES = (
    API_SERVERS_WITHIN_ONE,
    KUBELET_NOT_NEWER,
    KUBELET_TOO_OLD,
    KUBELET_BEFORE_125,
    PROXY_NOT_NEWER,
    PROXY_TOO_OLD,
    PROXY_BEFORE_125,
    PROXY_BESIDE_KUBELET,
    CONTROLLER_NOT_NEWER,
    CONTROLLER_TOO_OLD,
    KUBECTL_WITHIN_ONE,
    NO_MINOR_SKIPPED,
    NO_WAY_DOWN,
    KUBELET_DRAINED_FIRST,
    KUBEADM_WITHIN_ONE,
    ETCD_ONE_MINOR,
    ETCD_BEFORE_36,
)


def lag(minor: int) -> int:
    """How many minors older than the newest API server a kubelet or kube-proxy may be."""
    return LONG_SKEW if minor >= LONG_SKEW_FROM else SHORT_SKEW


def judge_api_servers(oldest: int, newest: int) -> Rule | None:
    """The rule that API servers so far apart break."""
    return API_SERVERS_WITHIN_ONE if newest - oldest > 1 else None


def judge_kubelet(kubelet: int, oldest: int, newest: int) -> Rule | None:
    """The rule that a kubelet breaks beside these API servers."""
    if kubelet > oldest:
        return KUBELET_NOT_NEWER
    if newest - kubelet > lag(kubelet):
        return KUBELET_TOO_OLD if kubelet >= LONG_SKEW_FROM else KUBELET_BEFORE_125
    return None


def judge_proxy(proxy: int, kubelet: int | None, oldest: int, newest: int) -> Rule | None:
    """The rule that a kube-proxy breaks beside these API servers and its node's kubelet."""
    if proxy > oldest:
        return PROXY_NOT_NEWER
    if newest - proxy > lag(proxy):
        return PROXY_TOO_OLD if proxy >= LONG_SKEW_FROM else PROXY_BEFORE_125
    if kubelet is not None and abs(proxy - kubelet) > lag(proxy):
        return PROXY_BESIDE_KUBELET
    return None


def judge_controller(controller: int, oldest: int, newest: int) -> Rule | None:
    """The rule that a controller manager, scheduler or cloud controller manager breaks.

    For one that only ever reaches its own API server, both minors are that server's.
    """
    if controller > oldest:
        return CONTROLLER_NOT_NEWER
    return CONTROLLER_TOO_OLD if newest - controller > 1 else None


def judge_kubectl(kubectl: int, oldest: int, newest: int) -> Rule | None:
    """The rule that a kubectl breaks."""
    return KUBECTL_WITHIN_ONE if newest - kubectl > 1 or kubectl - oldest > 1 else None


def judge_hop(before: int, after: int) -> Rule | None:
    """The rule that an API server breaks by going from one minor to another."""
    if after < before:
        return NO_WAY_DOWN
    return NO_MINOR_SKIPPED if after - before > 1 else None


def judge_kubeadm(kubeadm: int, cluster: int, target: int) -> Rule | None:
    """The rule that a kubeadm breaks by taking a cluster to a target."""
    fits = target <= kubeadm and kubeadm - cluster <= 1 and target - cluster <= 1
    return None if fits else KUBEADM_WITHIN_ONE


def judge_etcd(before: tuple[int, int, int], after: tuple[int, int, int]) -> Rule | None:
    """The rule that etcd breaks by going from one version to another."""
    if before[0] != after[0] or not 0 <= after[1] - before[1] <= 1:
        return ETCD_ONE_MINOR
    if before[:2] == (3, 5) and after[:2] == (3, 6) and before < (3, 5, 24):
        return ETCD_BEFORE_36
    return None
