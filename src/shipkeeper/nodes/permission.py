"""What the API server has to allow for a drain or a maintenance."""

from collections.abc import Iterator

from shipkeeper.engine.plan import Plan
from shipkeeper.engine.tenure import NAME, NAMESPACE
from shipkeeper.kube.access import Permission
from shipkeeper.kube.resources import DEPLOYMENTS, LEASES, NODES, PODS
from shipkeeper.nodes.options import AtDeadline
from shipkeeper.nodes.plan import PodAction, is_surging

# Asked for, and done without where it is not given.
CONDITIONS = Permission(verb="patch", resource=NODES, subresource="status")


def permissions_of(plan: Plan) -> tuple[Permission, ...]:
    """Everything that the plan's steps, and the cluster's lock, need to write."""
    return tuple(dict.fromkeys(_permissions(plan)))


def _permissions(plan: Plan) -> Iterator[Permission]:
    yield Permission(verb="patch", resource=NODES)
    yield Permission(verb="patch", resource=LEASES, namespace=NAMESPACE, name=NAME)
    pod = plan.request["options"].get("pod")
    if pod is not None:
        yield from _work_pods(pod["namespace"])
    forces = _forces(plan)
    for step in plan.steps:
        for item in step.items:
            namespace = item.key.partition("/")[0]
            if item.action == PodAction.EVICT:
                yield Permission(
                    verb="create", resource=PODS, subresource="eviction", namespace=namespace
                )
                if is_surging(item):
                    yield Permission(verb="patch", resource=DEPLOYMENTS, namespace=namespace)
            if item.action == PodAction.DELETE or (item.action == PodAction.EVICT and forces):
                yield Permission(verb="delete", resource=PODS, namespace=namespace)


def _work_pods(namespace: str) -> Iterator[Permission]:
    """What working on hosts through pods needs.

    A WebSocket begins with a GET; API servers from 1.35 on want `create` for it, too (feature
    AuthorizePodWebsocketUpgradeCreatePermission).
    """
    yield Permission(verb="create", resource=PODS, namespace=namespace)
    yield Permission(verb="delete", resource=PODS, namespace=namespace)
    for verb in ("get", "create"):
        yield Permission(verb=verb, resource=PODS, subresource="exec", namespace=namespace)


def _forces(plan: Plan) -> bool:
    """Whether pods are ended past their budgets once a drain takes too long."""
    options = plan.request.get("options", {})
    drain = options.get("drain", options)
    has_deadline = bool(drain.get("deadline"))
    return has_deadline and drain.get("at_deadline") != AtDeadline.GIVE_UP
