"""The whole experiment: every cluster twice on one control plane, each copy drained by one tool."""

import asyncio
from collections import defaultdict
from pathlib import Path

from shipkeeper.engine.journal import Journal
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES, PODS
from shipkeeper.model.pod import Pod
from shipkeeper.sandbox.sandbox import Sandbox
from tests.nodes.parity.clusters import Cluster
from tests.nodes.parity.comparison import GONE, STAYS, Ending, Pair
from tests.nodes.parity.draining import Answer, drain_with_kubectl, drain_with_shipkeeper
from tests.nodes.parity.staging import Stage, Twin
from tests.nodes.world import audit_lines, options_of

_ADMINISTRATORS = ("system:masters",)


async def drain_both(sandbox: Sandbox, clusters: list[Cluster], directory: Path) -> list[Pair]:
    """Drain one copy of each cluster with kubectl, the other with ours, all at the same time."""
    theirs = [Twin(cluster=cluster, tool="kubectl") for cluster in clusters]
    ours = [Twin(cluster=cluster, tool="shipkeeper") for cluster in clusters]
    async with connect(options_of(sandbox)) as connection:
        await Stage(sandbox, connection, theirs + ours).set_up()
        said = await asyncio.gather(
            _drain_theirs(sandbox, theirs), _drain_ours(sandbox, ours, directory)
        )
        after = await _Aftermath.observe(sandbox, connection)
    return [
        Pair(cluster=one.cluster, theirs=after.of(one, said[0]), ours=after.of(other, said[1]))
        for one, other in zip(theirs, ours, strict=True)
    ]


async def _drain_theirs(sandbox: Sandbox, twins: list[Twin]) -> Answer:
    kubeconfig = sandbox.issue_kubeconfig("kubectl", _ADMINISTRATORS)
    return await drain_with_kubectl(kubeconfig, twins)


async def _drain_ours(sandbox: Sandbox, twins: list[Twin], directory: Path) -> Answer:
    kubeconfig = sandbox.issue_kubeconfig("shipkeeper", _ADMINISTRATORS)
    journal = Journal(directory / "journal.db")
    try:
        async with connect(ConnectionOptions(kubeconfig=str(kubeconfig))) as connection:
            return await drain_with_shipkeeper(connection, journal, twins)
    finally:
        journal.close()


class _Aftermath:
    """Pods, nodes and granted requests after all drains."""

    def __init__(
        self, pods: dict[str, Pod], cordoned: set[str], granted: dict[tuple[str, str], list[str]]
    ) -> None:
        self._pods = pods
        self._cordoned = cordoned
        self._granted = granted

    @classmethod
    async def observe(cls, sandbox: Sandbox, connection: Connection) -> "_Aftermath":
        reader = Reader(connection)
        pods = {pod.key: pod for pod in (await reader.list(PODS)).items}
        nodes = (await reader.list(NODES)).items
        return cls(pods, {node.name for node in nodes if node.spec.unschedulable}, granted(sandbox))

    def of(self, twin: Twin, answer: Answer) -> Ending:
        """How one twin ended."""
        keys = {name: f"{twin.place}/{name}" for name in twin.cluster.states}
        asked = {name: self._granted.get((twin.tool, key), []) for name, key in keys.items()}
        return Ending(
            refused={n: answer.refused[key] for n, key in keys.items() if key in answer.refused},
            foreseen={n: answer.foreseen[key] for n, key in keys.items() if key in answer.foreseen},
            asked={name: ", ".join(requests) for name, requests in asked.items() if requests},
            fates={name: fate(self._pods.get(key)) for name, key in keys.items()},
            is_drained=twin.place in answer.drained,
            is_cordoned=twin.place in self._cordoned,
        )


def fate(pod: Pod | None) -> str:
    """What became of a pod; of one that is still there, in how many seconds it has to leave."""
    if pod is None:
        return GONE
    if not pod.is_deleting:
        return STAYS
    return f"has {pod.metadata.deletion_grace_period_seconds} s to leave"


def granted(sandbox: Sandbox) -> dict[tuple[str, str], list[str]]:
    """The evictions and deletions of pods that the API server granted, by user and pod."""
    found: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for line in audit_lines(sandbox):
        about = line.object_ref
        is_eviction = (line.verb, about.subresource) == ("create", "eviction")
        is_deletion = (line.verb, about.subresource) == ("delete", "")
        if (
            about.resource == "pods"
            and (is_eviction or is_deletion)
            and line.response_status.code < 300
        ):
            key = (line.user.username, f"{about.namespace}/{about.name}")
            found[key].append("eviction" if is_eviction else "deletion")
    return found
