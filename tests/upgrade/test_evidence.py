"""What a check makes of the labels and taints of old."""

from datetime import UTC, datetime

import pytest

from shipkeeper.upgrade.check.cluster import judge_cluster
from shipkeeper.upgrade.check.evidence import Evidence, PodTrait
from shipkeeper.upgrade.versions import ClusterVersions

NOW = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.mark.parametrize(
    ("server", "kubeadm", "is_found"),
    [
        ("v1.23.17", "kubeadm.k8s.io/v1beta3", True),
        # kubeadm took them away: who has them now, put them back.
        ("v1.30.2", "kubeadm.k8s.io/v1beta3", False),
        ("v1.23.17", "", False),
    ],
)
def test_marks_of_masters_end_where_kubeadm_takes_them_away(
    server: str, kubeadm: str, is_found: bool
) -> None:
    marks = [
        PodTrait(target=f"Pod a/{trait}", trait=trait, where="there")
        for trait in ("master-label", "master-taint")
    ]
    evidence = Evidence(
        versions=ClusterVersions(server=server, components=()),
        kubeadm_config=kubeadm,
        traits=(*marks, PodTrait(target="Pod a/git", trait="gitRepo", where="there")),
    )
    found = {each.target for each in judge_cluster(evidence, 37, NOW)}
    assert found == {"Pod a/git", *(each.target for each in marks if is_found)}
