"""Bringing workloads up: apply their manifests and wait until they are there."""

import asyncio
from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Any

from shipkeeper.errors import IncompleteError
from shipkeeper.kube.errors import ApiError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import (
    BUDGETS,
    DAEMON_SETS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
    Resource,
)
from shipkeeper.kube.writer import Writer
from shipkeeper.model.disruption import PodDisruptionBudget
from shipkeeper.model.meta import KubeObject
from shipkeeper.model.pod import Pod
from shipkeeper.model.workload import Workload

_RESOURCES: tuple[Resource[KubeObject], ...] = (
    NAMESPACES,
    DEPLOYMENTS,
    REPLICA_SETS,
    STATEFUL_SETS,
    DAEMON_SETS,
    PODS,
    BUDGETS,
)
_BY_KIND = {resource.kind: resource for resource in _RESOURCES}
_CONTROLLERS = (DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS, DAEMON_SETS)
_POLL_SECONDS = 0.2
_ATTEMPTS = 50
_NAMED = 5


async def apply(reader: Reader, writer: Writer, manifests: Iterable[dict[str, Any]]) -> None:
    """Apply manifests in their order; budgets in the newest version that the server has."""
    budgets = await reader.budget_resource()
    for manifest in manifests:
        resource = _BY_KIND[manifest["kind"]]
        if resource is BUDGETS:
            resource = budgets
        await _apply_patiently(writer, resource, {**manifest, "apiVersion": resource.api_version})


async def _apply_patiently(
    writer: Writer, resource: Resource[KubeObject], manifest: dict[str, Any]
) -> None:
    """Apply a manifest as soon as its namespace is ready for it.

    Pods of a new namespace are refused until its ServiceAccount, and in old versions that one's
    token, are there; the server calls that ServerTimeout or Forbidden.
    """
    for _ in range(_ATTEMPTS):
        try:
            await writer.apply(resource, manifest)
        except ApiError as error:
            if resource is not PODS or "service account" not in error.message.lower():
                raise
            await asyncio.sleep(_POLL_SECONDS)
        else:
            return
    await writer.apply(resource, manifest)


async def wait_ready(reader: Reader, namespace: str, *, timeout: timedelta) -> None:
    """Return when each controller has all its pods, each pod is Ready and each budget knows that.

    IncompleteError, naming what is missing, when that takes too long.
    """
    missing: list[str] = []
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            while True:
                missing = await _missing(reader, namespace)
                if not missing:
                    return
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError as error:
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        named = ", ".join(missing[:_NAMED]) or "the API server did not answer in that time"
        raise IncompleteError(
            f"not ready after {timeout}: {named}{more}",
            reason="NotReady",
            hint=f"look at them with: kubectl -n {namespace} get all",
        ) from error


async def _missing(reader: Reader, namespace: str) -> list[str]:
    """What is not there yet; pods, which may be thousands, are listed last."""
    missing: list[str] = []
    for resource in _CONTROLLERS:
        found = (await reader.list(resource, namespace=namespace)).items
        missing += [f"{resource.kind} {each.name}" for each in found if not _is_complete(each)]
    if missing:
        return missing
    pods = (await reader.list(PODS, namespace=namespace)).items
    budgets = (await reader.list(await reader.budget_resource(), namespace=namespace)).items
    return [
        *(f"{PODS.kind} {each.name}" for each in pods if not (each.is_ready or each.is_finished)),
        *(
            f"{BUDGETS.kind} {each.name}"
            for each in budgets
            if not _counts(each, [other for other in budgets if other is not each], pods)
        ),
    ]


def _is_complete(workload: Workload) -> bool:
    status = workload.status
    if status.observed_generation < workload.metadata.generation:
        return False
    if workload.spec.replicas is None:
        return status.number_ready == status.desired_number_scheduled
    return status.replicas == status.ready_replicas == workload.spec.replicas


def _counts(
    budget: PodDisruptionBudget, others: Collection[PodDisruptionBudget], pods: Iterable[Pod]
) -> bool:
    """Whether a budget knows its pods.

    Of the budgets that share a pod, the disruption controller tells only one about it, by chance
    (getPdbForPod in pkg/controller/disruption): their numbers may stay behind for good.
    """
    covered = [pod for pod in pods if budget.covers(pod)]
    if any(other.covers(pod) for pod in covered for other in others):
        return budget.is_current
    healthy = sum(pod.is_ready and not pod.is_deleting for pod in covered)
    return budget.is_current and budget.status.current_healthy == healthy
