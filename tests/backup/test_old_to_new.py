"""A backup of 1.20, with everything of beta versions, restored on the newest."""

import asyncio
from pathlib import Path
from typing import Any

from shipkeeper.backup.archive import open_archive
from shipkeeper.backup.restore import prepare
from shipkeeper.backup.restore_options import RestoreOptions
from shipkeeper.backup.restore_plan import Action
from shipkeeper.backup.selection import Selection
from shipkeeper.engine.journal import Journal, Outcome
from shipkeeper.kube.connection import Connection
from shipkeeper.store.repository import Repository
from tests.backup.cluster import PATIENCE, Cluster, back_up, bring_back, fresh, manifest
from tests.backup.rich import workload
from tests.backup.test_round_trip import changes_of


def of_old_versions(name: str) -> list[dict[str, Any]]:
    """A namespace whose objects are written in versions that are gone by 1.26."""
    backend = {"serviceName": "web", "servicePort": 80}
    template = {
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "c", "image": "registry.k8s.io/pause:3.9"}],
        }
    }
    cpu = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    return [
        manifest("v1 Namespace", name),
        workload("apps/v1 Deployment", "web", name, replicas=2),
        manifest(
            "v1 Service", "web", name, spec={"selector": {"app": "web"}, "ports": [{"port": 80}]}
        ),
        manifest("extensions/v1beta1 Ingress", "old", name, spec={"backend": backend}),
        manifest(
            "networking.k8s.io/v1beta1 Ingress",
            "web",
            name,
            spec={"rules": [{"host": "h", "http": {"paths": [{"path": "/", "backend": backend}]}}]},
        ),
        manifest(
            "batch/v1beta1 CronJob",
            "nightly",
            name,
            spec={
                "schedule": "0 0 1 1 *",
                "suspend": True,
                "jobTemplate": {"spec": {"template": template}},
            },
        ),
        manifest(
            "policy/v1beta1 PodDisruptionBudget",
            "web",
            name,
            spec={"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
        ),
        manifest(
            "policy/v1beta1 PodDisruptionBudget",
            "nobody",
            name,
            spec={"minAvailable": 1, "selector": {}},
        ),
        manifest(
            "autoscaling/v2beta2 HorizontalPodAutoscaler",
            "web",
            name,
            spec={
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "minReplicas": 2,
                "maxReplicas": 5,
                "metrics": [{"type": "Resource", "resource": cpu}],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 7}},
            },
        ),
    ]


async def rolled_out(cluster: Cluster, name: str) -> None:
    """Wait until the Deployment's controller has seen it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            web = await cluster.get(workload("apps/v1 Deployment", "web", name))
            if web.get("status", {}).get("replicas") == 2:
                return
            await asyncio.sleep(0.2)


async def test_workloads_are_the_same(
    old: Connection, new: Connection, repository: Repository, tmp_path: Path
) -> None:
    before, after, name = Cluster(old), Cluster(new), fresh("old")
    psp = manifest(
        "policy/v1beta1 PodSecurityPolicy",
        name,
        spec={
            rule: {"rule": "RunAsAny"}
            for rule in ("seLinux", "runAsUser", "supplementalGroups", "fsGroup")
        },
    )
    await before.create(psp, *of_old_versions(name))
    await rolled_out(before, name)
    await back_up(before, repository, Selection(namespaces=(name,), cluster_scoped=True))
    journal = Journal(tmp_path / "journal.db")

    options = RestoreOptions(selection=Selection(namespaces=(name,)))
    result = await bring_back(after, repository, journal, options)
    assert result is not None
    assert result.outcome is Outcome.SUCCEEDED, result.failures
    await rolled_out(after, name)
    (lost,) = await changes_of(after, repository, name)
    assert lost.kind == "podsecuritypolicies.policy"

    ingress = await after.get(manifest("networking.k8s.io/v1 Ingress", "old", name))
    assert ingress["spec"]["defaultBackend"]["service"] == {"name": "web", "port": {"number": 80}}
    nobody = await after.get(manifest("policy/v1 PodDisruptionBudget", "nobody", name))
    (requirement,) = nobody["spec"]["selector"]["matchExpressions"]
    assert requirement["operator"] == "Exists"
    scaler = await after.get(manifest("autoscaling/v2 HorizontalPodAutoscaler", "web", name))
    (metric,) = scaler["spec"]["metrics"]
    assert metric["resource"]["target"]["averageUtilization"] == 70
    assert scaler["spec"]["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 7

    everything = RestoreOptions(selection=Selection(names=(f"psp/{name}",)))
    archive = await open_archive(repository, "latest")
    prepared = await prepare(new, archive, repository.id, everything)
    (refused,) = prepared.assessment.candidates
    assert refused.action is Action.REFUSE
    assert refused.verdict is not None
    assert "removed in 1.25" in refused.verdict.message
    await before.delete(psp, manifest("v1 Namespace", name))
    await after.delete(manifest("v1 Namespace", name))
