"""The version-skew policy as tables, each exception by its name."""

import pytest

from shipkeeper.upgrade import policy


@pytest.mark.parametrize(
    ("kubelet", "oldest", "newest", "rule"),
    [
        (37, 37, 37, None),
        (34, 37, 37, None),
        (33, 37, 37, "KubeletTooOld"),
        (38, 37, 37, "KubeletNotNewer"),
        # Behind a load balancer, two API servers narrow the range from both sides.
        (37, 36, 37, "KubeletNotNewer"),
        (36, 36, 37, None),
        (34, 36, 37, None),
        (33, 36, 37, "KubeletTooOld"),
        (33, 36, 36, None),
        # Three minors back since 1.25, two before.
        (25, 28, 28, None),
        (24, 27, 27, "KubeletBefore125"),
        (24, 26, 26, None),
        (22, 24, 24, None),
        (21, 24, 24, "KubeletBefore125"),
    ],
)
def test_kubelets(kubelet: int, oldest: int, newest: int, rule: str | None) -> None:
    found = policy.judge_kubelet(kubelet, oldest, newest)
    assert (found.name if found else None) == rule


@pytest.mark.parametrize(
    ("proxy", "kubelet", "oldest", "newest", "rule"),
    [
        (37, 37, 37, 37, None),
        (34, 37, 37, 37, None),
        (37, 34, 37, 37, None),
        (33, 33, 37, 37, "ProxyTooOld"),
        (38, 37, 37, 37, "ProxyNotNewer"),
        (37, 37, 36, 37, "ProxyNotNewer"),
        (37, 33, 37, 37, "ProxyBesideKubelet"),
        (24, 24, 27, 27, "ProxyBefore125"),
        (24, 21, 24, 24, "ProxyBesideKubelet"),
        (24, 22, 24, 24, None),
        (37, None, 37, 37, None),
    ],
)
def test_proxies(
    proxy: int, kubelet: int | None, oldest: int, newest: int, rule: str | None
) -> None:
    found = policy.judge_proxy(proxy, kubelet, oldest, newest)
    assert (found.name if found else None) == rule


@pytest.mark.parametrize(
    ("judged", "rule"),
    [
        (policy.judge_api_servers(36, 37), None),
        (policy.judge_api_servers(35, 37), "ApiServersWithinOne"),
        (policy.judge_controller(37, 37, 37), None),
        (policy.judge_controller(36, 36, 37), None),
        # One that may reach any API server waits for the last of them.
        (policy.judge_controller(37, 36, 37), "ControllerNotNewer"),
        (policy.judge_controller(35, 36, 37), "ControllerTooOld"),
        (policy.judge_kubectl(38, 37, 37), None),
        (policy.judge_kubectl(36, 37, 37), None),
        (policy.judge_kubectl(39, 37, 37), "KubectlWithinOne"),
        (policy.judge_kubectl(38, 36, 37), "KubectlWithinOne"),
        (policy.judge_kubectl(35, 36, 37), "KubectlWithinOne"),
        (policy.judge_hop(36, 37), None),
        (policy.judge_hop(36, 36), None),
        (policy.judge_hop(35, 37), "NoMinorSkipped"),
        (policy.judge_hop(37, 36), "NoWayDown"),
        (policy.judge_kubeadm(37, 36, 37), None),
        (policy.judge_kubeadm(37, 37, 37), None),
        (policy.judge_kubeadm(36, 36, 37), "KubeadmWithinOne"),
        (policy.judge_kubeadm(37, 35, 36), "KubeadmWithinOne"),
        (policy.judge_etcd((3, 5, 24), (3, 6, 8)), None),
        (policy.judge_etcd((3, 5, 21), (3, 6, 8)), "EtcdBefore36"),
        (policy.judge_etcd((3, 4, 13), (3, 6, 8)), "EtcdOneMinor"),
        (policy.judge_etcd((3, 6, 8), (3, 5, 24)), "EtcdOneMinor"),
        (policy.judge_etcd((3, 6, 8), (3, 7, 0)), None),
    ],
)
def test_everything_else(judged: policy.Rule | None, rule: str | None) -> None:
    assert (judged.name if judged else None) == rule


def test_rules_have_names_of_their_own() -> None:
    names = [rule.name for rule in policy.RULES]
    assert len(set(names)) == len(names)
