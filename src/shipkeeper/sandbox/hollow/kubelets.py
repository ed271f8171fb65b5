"""Running pods: every pod bound to a hollow node goes through its life here."""

import asyncio
import logging
from collections import defaultdict
from typing import Any

from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.changes import Change, Deleted
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.writer import STRATEGIC_PATCH, Writer
from shipkeeper.sandbox.hollow.addresses import POD_NETWORK, AddressPool
from shipkeeper.sandbox.hollow.fleet import Fleet, Member, is_older
from shipkeeper.sandbox.hollow.lifecycle import Action, Step, next_step, ready_delay
from shipkeeper.sandbox.hollow.pod import BOUND_PODS, BoundPod
from shipkeeper.sandbox.hollow.podstatus import ready_patch, restart_patch, start_patch
from shipkeeper.sandbox.hollow.timetable import Timetable

_AT_ONCE = 32
_RETRY_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Kubelets:
    """Starts, restarts and finishes the pods of hollow nodes; pods are known by their uid."""

    def __init__(self, fleet: Fleet, writer: Writer) -> None:
        self._fleet = fleet
        self._writer = writer
        self._pods: dict[str, BoundPod] = {}
        self._on_node: defaultdict[str, set[str]] = defaultdict(set)
        self._planned: dict[str, Action] = {}
        self._finished: set[str] = set()
        self._addresses = AddressPool(POD_NETWORK)
        self._timetable = Timetable(self._act, at_once=_AT_ONCE)
        fleet.subscribe(self._react)

    async def run(self) -> None:
        """Run pods until cancelled."""
        await self._timetable.run()

    def pods_on(self, node: str) -> list[BoundPod]:
        """The pods bound to a node."""
        return [self._pods[uid] for uid in self._on_node.get(node, ())]

    def notice(self, change: Change[BoundPod]) -> None:
        """Take in a change from the watch."""
        if isinstance(change, Deleted):
            self._forget(change.object.uid)
        else:
            self.observe(change.object)

    def observe(self, pod: BoundPod) -> None:
        """Take in a pod as it is, unless a younger state of it is known."""
        known = self._pods.get(pod.uid)
        if known is not None and is_older(pod, known):
            return
        self._pods[pod.uid] = pod
        self._on_node[pod.spec.node_name].add(pod.uid)
        if pod.status.pod_ip:
            self._addresses.claim(pod.uid, pod.status.pod_ip)
        self._plan(pod)

    def _react(self, node: str, _before: Member | None, _now: Member | None) -> None:
        for pod in self.pods_on(node):
            self._plan(pod)

    def _forget(self, uid: str) -> None:
        pod = self._pods.pop(uid, None)
        if pod is None:
            return
        self._timetable.cancel(uid)
        self._planned.pop(uid, None)
        self._finished.discard(uid)
        self._addresses.give_back(uid)
        self._on_node[pod.spec.node_name].discard(uid)
        if not self._on_node[pod.spec.node_name]:
            del self._on_node[pod.spec.node_name]

    def _next_step(self, pod: BoundPod) -> Step | None:
        if pod.uid in self._finished:
            return None
        if pod.spec.node_name in self._fleet.departed:
            return Step(Action.FINISH)
        member = self._fleet.get(pod.spec.node_name)
        return next_step(pod, member.behaviour, member.boot_id) if member else None

    def _plan(self, pod: BoundPod, pause: float = 0.0) -> None:
        """Do what is next for a pod in its time, but not before a pause is over."""
        step = self._next_step(pod)
        if step is None or self._planned.get(pod.uid) is not step.action:
            self._planned.pop(pod.uid, None)
            self._timetable.cancel(pod.uid)
        if step is not None:
            self._planned[pod.uid] = step.action
            now = asyncio.get_running_loop().time()
            self._timetable.at(pod.uid, now + max(step.delay, pause))

    async def _act(self, uid: str) -> None:
        pod, action = self._pods[uid], self._planned.pop(uid)
        try:
            await (self._finish(pod) if action is Action.FINISH else self._report(pod, action))
        except NotFoundError:
            self._forget(uid)
        except ShipkeeperError as error:
            _log.info("cannot %s pod %s: %s", action, pod.key, error)
            if uid in self._pods:
                self._plan(self._pods[uid], _RETRY_SECONDS)

    async def _finish(self, pod: BoundPod) -> None:
        await self._writer.delete(
            BOUND_PODS, pod.name, namespace=pod.namespace, uid=pod.uid, grace_period_seconds=0
        )
        if pod.uid in self._pods:
            # Its last changes may still come; once is enough, finalizers are others' business.
            self._finished.add(pod.uid)
            self._plan(pod)

    async def _report(self, pod: BoundPod, action: Action) -> None:
        after = await self._writer.patch(
            BOUND_PODS,
            pod.name,
            self._status(pod, action, self._fleet.member(pod.spec.node_name)),
            namespace=pod.namespace,
            subresource="status",
            content_type=STRATEGIC_PATCH,
        )
        if pod.uid in self._pods:
            self.observe(after)

    def _status(self, pod: BoundPod, action: Action, member: Member) -> dict[str, Any]:
        match action:
            case Action.RESTART:
                return restart_patch(pod, member.boot_id)
            case Action.MAKE_READY:
                return ready_patch(pod)
            case _:
                own = not pod.spec.host_network
                return start_patch(
                    pod,
                    member.boot_id,
                    address=self._addresses.take(pod.uid) if own else member.address,
                    host=member.address,
                    ready=ready_delay(pod, member.behaviour) == 0,
                )
