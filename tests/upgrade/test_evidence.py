"""What a check gathers where it may not look at everything, and what it makes of labels of old."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import connect
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.upgrade.catalog import catalog
from shipkeeper.upgrade.check.cluster import judge_cluster
from shipkeeper.upgrade.check.evidence import Evidence, PodTrait, Seen
from shipkeeper.upgrade.check.observe import Wanted, gather_evidence
from shipkeeper.upgrade.check.traits import traits_of
from shipkeeper.upgrade.versions import ClusterVersions
from tests.faults.faults import refusal
from tests.faults.proxy import FaultProxy
from tests.upgrade import seeds_held_out, seeds_newest
from tests.upgrade.seeded import clear_away, plant
from tests.upgrade.seeds import NAMESPACE

NOW = datetime(2026, 11, 26, tzinfo=UTC)
SEEDS = (*seeds_newest.SEEDS, *seeds_held_out.NEWEST)


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


async def test_helm_releases_are_read_wherever_that_is_allowed(
    newest: Sandbox, tmp_path: Path
) -> None:
    seeds = [each for each in SEEDS if each.name in ("helm-claim", "helm-map")]
    try:
        await plant(newest, seeds, tmp_path)
        async with (
            FaultProxy(newest.kubeconfig, tmp_path) as proxy,
            connect(ConnectionOptions(kubeconfig=str(proxy.kubeconfig))) as connection,
        ):
            for denied, what, read in (
                ("configmaps", "ConfigMaps", "helm-claim"),
                ("secrets", "Secrets", "helm-map"),
            ):
                # As for one who may read those of some namespaces only.
                proxy.inject(refusal(403, "Forbidden"), path=rf"^/api/v1/{denied}\b", times=None)
                evidence = await gather_evidence(connection, 39, catalog(), Wanted())
                assert releases(evidence) == {f"release {NAMESPACE}/{read}"}
                assert unread(evidence) == [f"Helm releases in {what}"]
                proxy.heal()
    finally:
        await clear_away(newest, seeds)


def test_custom_resources_may_be_called_as_those_that_make_pods() -> None:
    pod: dict[str, Any] = {"spec": {"volumes": [{"name": "code", "gitRepo": {}}]}}
    ours: dict[str, Any] = {"metadata": {"name": "a", "namespace": "n"}, "spec": {"template": pod}}
    body = msgspec.json.encode(ours)
    assert {each.target for each in traits_of(body, "batch/v1", "Job")} == {"Job n/a"}
    theirs: dict[str, Any] = {**ours, "spec": {"template": "a text", "gitRepo": {}}}
    for kind in ("Job", "Deployment", "Pod"):
        assert not [*traits_of(msgspec.json.encode(theirs), "example.com/v1", kind)]


def releases(evidence: Evidence) -> set[str]:
    return {each.who for each in evidence.uses if each.seen is Seen.HELM}


def unread(evidence: Evidence) -> list[str]:
    return [each.what for each in evidence.unchecked if each.what.startswith("Helm")]
