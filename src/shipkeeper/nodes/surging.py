"""Raising and ending surges: one pod more while a Deployment's only pod is moved.

The annotation and the number of replicas change in one patch, so that whoever finds the one knows
how to take back the other. Nothing of a surge is kept anywhere else.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from shipkeeper.errors import BlockedError, ShipkeeperError
from shipkeeper.kube.errors import ConflictError, NotFoundError, UnreachableError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import (
    AUTOSCALERS,
    DEPLOYMENTS,
    PERSISTENT_VOLUME_CLAIMS,
    REPLICA_SETS,
)
from shipkeeper.kube.writer import FIELD_MANAGER, Writer
from shipkeeper.model.deployment import Deployment
from shipkeeper.model.disruption import PodDisruptionBudget
from shipkeeper.nodes.observe import ClusterState
from shipkeeper.nodes.surge import (
    SURGE_ANNOTATION,
    Surge,
    SurgeCandidate,
    SurgeOptions,
    SurgeState,
    surge_candidates,
    surge_of,
)

_DELAYS = (0.1, 0.2, 0.4, 0.8, 1.6)  # seconds
# How long a surge is not taken back because no pod of the Deployment is Ready, in seconds.
_AWAIT_READY = 60.0


class SurgeError(ShipkeeperError):
    """The second pod of a surge did not come."""


async def observe_surge(reader: Reader) -> SurgeState:
    """Everything that decides which Deployments may be scaled."""
    deployments, replica_sets, autoscalers, claims = await asyncio.gather(
        reader.list(DEPLOYMENTS),
        reader.list(REPLICA_SETS),
        reader.list(AUTOSCALERS),
        reader.list(PERSISTENT_VOLUME_CLAIMS),
    )
    return SurgeState(
        deployments=tuple(deployments.items),
        replica_sets=tuple(replica_sets.items),
        autoscalers=tuple(autoscalers.items),
        claims=tuple(claims.items),
    )


async def find_surges(reader: Reader, run: str = "") -> tuple[Deployment, ...]:
    """The Deployments that are scaled by a surge (of one run), by key."""
    listing = await reader.list(DEPLOYMENTS)
    found = [
        each
        for each in listing.items
        if (surge := surge_of(each)) is not None and run in ("", surge.run)
    ]
    return tuple(sorted(found, key=lambda each: each.key))


async def raise_surge(
    reader: Reader, writer: Writer, candidate: SurgeCandidate, *, run: str, timeout: float
) -> None:
    """Scale a Deployment by one, and return when its budget allows to evict the first pod.

    Cordon the pod's node before. What was begun by the same run is taken up. SurgeError, with the
    Deployment as it was before, when that takes more seconds; BlockedError when it is another
    run's.
    """

    def patch(deployment: Deployment) -> dict[str, Any] | None:
        surge = surge_of(deployment)
        if surge is not None and surge.run != run:
            raise BlockedError(
                f"Deployment {deployment.key} is scaled for run {surge.run}",
                reason="SurgeHeld",
                hint=f"resume or abort that run: shipkeeper resume {surge.run}",
            )
        if surge is not None or deployment.spec.replicas != 1:
            return None
        remembered = Surge(replicas=1, run=run, node=candidate.node)
        return _patch(deployment, msgspec.json.encode(remembered).decode(), replicas=2)

    await _change(reader, writer, candidate.namespace, candidate.name, patch)
    try:
        async with asyncio.timeout(timeout):
            await _wait_until_evictable(reader, candidate)
    except TimeoutError as error:
        await end_surge(reader, writer, candidate.namespace, candidate.name, run=run)
        raise SurgeError(
            f"the second pod of Deployment {candidate.key} was not Ready within {timeout:.0f}s, "
            "so that the first cannot be evicted; it has its one replica again",
            reason="SurgeNotReady",
            hint=f"see why, then run again: kubectl -n {candidate.namespace} get pods,events",
        ) from error


async def end_surge(
    reader: Reader, writer: Writer, namespace: str, name: str, *, run: str = ""
) -> bool:
    """Set a Deployment back to the replicas it had, and forget; False if there was nothing to do.

    With `run` only a surge of that run. Replicas that somebody else changed meanwhile stay. Waits
    for a Ready pod before, so that one remains: of too many pods those that are not Ready go first.
    """

    def is_ours(deployment: Deployment) -> bool:
        surge = surge_of(deployment)
        return surge is not None and run in ("", surge.run)

    def patch(deployment: Deployment) -> dict[str, Any] | None:
        surge = surge_of(deployment)
        if surge is None or not is_ours(deployment):
            return None
        is_as_left = deployment.spec.replicas == surge.replicas + 1
        return _patch(deployment, None, replicas=surge.replicas if is_as_left else None)

    try:
        if not is_ours(await reader.get(DEPLOYMENTS, name, namespace)):
            return False
        await _wait_for_a_ready_pod(reader, namespace, name)
        ended = await _change(reader, writer, namespace, name, patch)
        if ended:
            await _drop_field_manager(reader, writer, namespace, name)
    except NotFoundError:
        return False
    return ended


class Surges:
    """The surges of one run."""

    def __init__(self, reader: Reader, writer: Writer, options: SurgeOptions, run: str) -> None:
        self._reader = reader
        self._writer = writer
        self._options = options
        self._run = run

    async def candidates(self, state: ClusterState) -> tuple[SurgeCandidate, ...]:
        """What has to be scaled before the nodes of the state can be drained, as of now."""
        if not self._options.enabled:
            return ()
        return surge_candidates(state, await observe_surge(self._reader), self._options)[0]

    @asynccontextmanager
    async def during_drain(
        self, state: ClusterState, *, at_most: float | None = None
    ) -> AsyncGenerator[None]:
        """Scale what has to be scaled; set it back at the end, also when the drain fails.

        A second pod has `at_most` so many seconds to come, if that is less than its own time. A
        cancellation leaves the surges as they are, for the run that takes this one up.
        """
        if not self._options.enabled:
            yield
            return
        try:
            await self._raise_all(await self.candidates(state), at_most)
            yield
        except Exception:
            await self._end_of(state)
            raise
        await self._end_of(state)

    async def end_all(self, node: str = "") -> int:
        """Set back whatever this run still has scaled (for a node); how many that were."""
        if not self._options.enabled:
            return 0
        found = [
            each
            for each in await find_surges(self._reader, self._run)
            if node in ("", _node_of(each))
        ]
        ended = [
            await end_surge(self._reader, self._writer, each.namespace, each.name, run=self._run)
            for each in found
        ]
        return sum(ended)

    async def _end_of(self, state: ClusterState) -> None:
        """End what was raised for the nodes of a state, by an earlier attempt or by this one."""
        for node in state.nodes:
            await self.end_all(node.name)

    async def _raise_all(
        self, candidates: tuple[SurgeCandidate, ...], at_most: float | None
    ) -> None:
        """Raise all side by side, and the first error when each has come to its end."""
        own = self._options.timeout
        timeout = own if at_most is None else min(own, at_most)
        raising = (
            raise_surge(self._reader, self._writer, each, run=self._run, timeout=timeout)
            for each in candidates
        )
        for result in await asyncio.gather(*raising, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result


def _node_of(deployment: Deployment) -> str:
    surge = surge_of(deployment)
    return surge.node if surge is not None else ""


async def _wait_until_evictable(reader: Reader, candidate: SurgeCandidate) -> None:
    """Watch the Deployment and then the budget, which is a moment behind."""
    await _wait_for_deployment(
        reader,
        candidate.namespace,
        candidate.name,
        lambda found: (
            not found.spec.replicas or (found.status.ready_replicas >= 2 and _is_current(found))
        ),
    )

    def allows(budgets: Mapping[str, PodDisruptionBudget]) -> bool:
        found = budgets.get(f"{candidate.namespace}/{candidate.budget}")
        return found is None or (found.is_current and found.status.disruptions_allowed > 0)

    async with Reflector(
        reader,
        await reader.budget_resource(),
        namespace=candidate.namespace,
        field_selector=f"metadata.name={candidate.budget}",
    ) as budgets:
        await budgets.wait_for(allows)


async def _wait_for_a_ready_pod(reader: Reader, namespace: str, name: str) -> None:
    try:
        async with asyncio.timeout(_AWAIT_READY):
            await _wait_for_deployment(
                reader,
                namespace,
                name,
                lambda found: found.status.ready_replicas >= 1 and _is_current(found),
            )
    except TimeoutError:
        # It is down whatever we do, and with fewer pods no more than that.
        return


async def _wait_for_deployment(
    reader: Reader, namespace: str, name: str, predicate: Callable[[Deployment], bool]
) -> None:
    """Return when the Deployment is as wanted, or gone."""

    def holds(found: Mapping[str, Deployment]) -> bool:
        deployment = found.get(f"{namespace}/{name}")
        return deployment is None or predicate(deployment)

    async with Reflector(
        reader, DEPLOYMENTS, namespace=namespace, field_selector=f"metadata.name={name}"
    ) as deployments:
        await deployments.wait_for(holds)


def _is_current(deployment: Deployment) -> bool:
    return deployment.status.observed_generation >= deployment.metadata.generation


async def _change(
    reader: Reader,
    writer: Writer,
    namespace: str,
    name: str,
    patch_for: Callable[[Deployment], dict[str, Any] | None],
) -> bool:
    """Patch the Deployment as it is now; after a conflict or a lost answer read it again first."""
    may_be_done = False
    for delay in (*_DELAYS, None):
        patch = patch_for(await reader.get(DEPLOYMENTS, name, namespace))
        if patch is None:
            return may_be_done
        try:
            await writer.patch(DEPLOYMENTS, name, patch, namespace=namespace)
        except (ConflictError, UnreachableError) as error:
            if delay is None:
                raise
            may_be_done = isinstance(error, UnreachableError)
            await asyncio.sleep(delay)
        else:
            return True
    return False


def _patch(deployment: Deployment, surge: str | None, *, replicas: int | None) -> dict[str, Any]:
    changed: dict[str, Any] = {
        "metadata": {
            "resourceVersion": deployment.metadata.resource_version,
            "annotations": {SURGE_ANNOTATION: surge},
        }
    }
    return changed if replicas is None else {**changed, "spec": {"replicas": replicas}}


async def _drop_field_manager(reader: Reader, writer: Writer, namespace: str, name: str) -> None:
    """No longer be the manager of `spec.replicas`.

    Otherwise the owner's next server-side apply of another number would conflict with us. Only a
    change of its own leaves us out: one that changes a field makes us that field's manager again.
    """
    for delay in (*_DELAYS, None):
        raw = await reader.get_raw(DEPLOYMENTS, name, namespace)
        managers = raw["metadata"].get("managedFields", [])
        others = [each for each in managers if not _is_our_update(each)]
        if len(others) == len(managers) or not others:
            return
        metadata = {
            "resourceVersion": raw["metadata"]["resourceVersion"],
            "managedFields": others,
        }
        try:
            await writer.patch(DEPLOYMENTS, name, {"metadata": metadata}, namespace=namespace)
        except (ConflictError, UnreachableError):
            if delay is None:
                raise
            await asyncio.sleep(delay)
        else:
            return


def _is_our_update(entry: dict[str, Any]) -> bool:
    return entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Update"
