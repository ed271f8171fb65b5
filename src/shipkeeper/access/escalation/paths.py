"""The ways from a permission to more power, one function a way. Pure.

Numbers are those of docs/access.md. A way is only told when everything that it takes is held:
`approve` without the right to update approvals is no way.
"""

from collections.abc import Callable, Iterator

from shipkeeper.access.escalation.constrained_ways import constrained_impersonation
from shipkeeper.access.escalation.edge import (
    ANY_NODE,
    ANY_USER,
    Edge,
    Goal,
    edge,
    goal,
    inside,
    pods,
    secrets,
    where,
)
from shipkeeper.access.escalation.identity_ways import (
    impersonate,
    mint_tokens,
    plant_tokens,
    revive_accounts,
)
from shipkeeper.access.escalation.powers import EVERYWHERE, Held, Powers, held_for
from shipkeeper.access.escalation.role_ways import bind, escalate, join_aggregates
from shipkeeper.access.escalation.terrain import KUBE_SYSTEM, Terrain

Way = Callable[[Powers, str, Terrain], Iterator[Edge]]

CERTIFICATES = "certificates.k8s.io"
ADMISSION = "admissionregistration.k8s.io"
_READ = ("get", "list", "watch")
_CHANGE = ("update", "patch")
_WRITE = ("create", "update", "patch")
_CONTROLLERS = (
    ("apps", "deployments"),
    ("apps", "daemonsets"),
    ("apps", "statefulsets"),
    ("apps", "replicasets"),
    ("", "replicationcontrollers"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
)
_CLIENT_SIGNER = "kubernetes.io/kube-apiserver-client"
_KUBELET_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"

# From this minor on a websocket's GET needs `create` as well.
_WEBSOCKETS_CREATE = 35


def read_secrets(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """1: reading Secrets, by list or watch as well, which send their contents."""
    every = powers.every_of(_READ, "", "secrets", place)
    for held in every:
        if not held.names:
            yield edge(secrets(place), 1, f"reads Secrets {where(place)}", held)
            return
    # By name only some can be read, which is what names are for; one may hold a token.
    for name in sorted({name for held in every for name in held.names}):
        for account in sorted(terrain.token_accounts_of(name, place)):
            how = f"reads Secret {name}, a token of {account}"
            yield edge(("ServiceAccount", account), 1, how, held_for(name, every))


def create_pods(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """2: a pod of one's own runs as any ServiceAccount of its namespace."""
    del terrain
    for group, resource in (("", "pods"), *_CONTROLLERS):
        held = powers.holds("create", group, resource, place)
        if held:
            yield edge(pods(place), 2, f"creates {resource} {where(place)}", held)
            return


def change_workloads(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """3: a workload's template, or a pod's image, changed to what one likes."""
    for group, resource in _CONTROLLERS:
        held = powers.one_of(_CHANGE, group, resource, place)
        if held:
            yield edge(pods(place), 3, f"changes {resource} {where(place)}", held)
            break
    yield from _aboard(
        powers.every_of(_CHANGE, "", "pods", place), place, terrain, 3, "changes the images of"
    )


def enter_pods(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """4: code run in the pods of others."""
    verbs = ("create",) if terrain.minor >= _WEBSOCKETS_CREATE else ("create", "get")
    for subresource in ("exec", "attach"):
        every = powers.every_of(verbs, "", f"pods/{subresource}", place)
        yield from _aboard(every, place, terrain, 4, f"runs {subresource} in")
    every = powers.every_of(_CHANGE, "", "pods/ephemeralcontainers", place)
    yield from _aboard(every, place, terrain, 4, "adds containers to")


def _aboard(
    every: tuple[Held, ...], place: str, terrain: Terrain, path: int, how: str
) -> Iterator[Edge]:
    """Into all pods, or into those of certain names that run."""
    for held in every:
        if not held.names or terrain.lacks_pods:
            yield edge(inside(place), path, f"{how} pods {where(place)}", held)
            return
    for name in sorted({name for held in every for name in held.names}):
        held = held_for(name, every)
        for pod in terrain.pods_named(name, place):
            into = f"{how} pod {name} of namespace {pod.namespace}"
            yield edge(("ServiceAccount", pod.account), path, f"{into}, {pod.account}", held)
            if pod.is_privileged:
                yield edge(goal(Goal.ROOT), path, f"{into}, which is privileged", held)


def node_proxy(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """5: the kubelet's own API runs commands, over a websocket even with `get`."""
    del terrain
    held = powers.one_of(("get", "create"), "", "nodes/proxy", place)
    if held:
        yield edge(inside(EVERYWHERE), 5, "runs commands in all pods through nodes/proxy", held)


def approve_certificates(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """10: a client certificate for whom one likes, save the group system:masters."""
    del terrain
    if place:
        return
    made = powers.holds("create", CERTIFICATES, "certificatesigningrequests", place)
    approved = powers.one_of(_CHANGE, CERTIFICATES, "certificatesigningrequests/approval", place)
    if not (made and approved):
        return
    for signer, target, whom in (
        (_CLIENT_SIGNER, ANY_USER, "any user"),
        (_KUBELET_SIGNER, ANY_NODE, "any node"),
    ):
        signs = _signer(powers, "approve", signer)
        if signs:
            yield edge(target, 10, f"approves a certificate of {whom}", made, approved, signs)


def sign_certificates(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """11: a certificate written into a request's status, past the approval."""
    del terrain
    if place:
        return
    status = powers.one_of(_CHANGE, CERTIFICATES, "certificatesigningrequests/status", place)
    signs = _signer(powers, "sign", _CLIENT_SIGNER) or _signer(powers, "sign", _KUBELET_SIGNER)
    if status and signs:
        how = "hands out certificates of its own making to whoever asked for one"
        yield edge(goal(Goal.TRAFFIC), 11, how, status, signs)


def _signer(powers: Powers, verb: str, signer: str) -> Held | None:
    every = powers.every(verb, CERTIFICATES, "signers", EVERYWHERE)
    return held_for(signer, every) or held_for(f"{signer.partition('/')[0]}/*", every)


def webhooks(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """12: every object shown to a webhook of one's own, and changed by it."""
    del terrain
    if place:
        return
    held = powers.one_of(_WRITE, ADMISSION, "mutatingwebhookconfigurations", place)
    if held:
        yield edge(pods(EVERYWHERE), 12, "changes every pod that is created, by a webhook", held)
    held = powers.one_of(_WRITE, ADMISSION, "validatingwebhookconfigurations", place)
    if held:
        yield edge(secrets(EVERYWHERE), 12, "is shown every Secret that is written", held)


def host_path_volumes(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """13: a PersistentVolume of a node's own disk, mounted where Pod Security does not look."""
    del terrain
    volume = powers.holds("create", "", "persistentvolumes", EVERYWHERE)
    claim = powers.also("create", "", "persistentvolumeclaims", place)
    pod = powers.also("create", "", "pods", place)
    if volume and claim and pod:
        how = "mounts a node's disk through a PersistentVolume"
        yield edge(goal(Goal.ROOT), 13, how, volume, claim, pod)


def relabel_namespaces(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """14: a namespace's labels changed, by which Pod Security and NetworkPolicies go."""
    pod = powers.also("create", "", "pods", place)
    if pod is None:
        return
    every = powers.every_of(_CHANGE, "", "namespaces", EVERYWHERE)
    if place:
        every = (*powers.every_of(_CHANGE, "", "namespaces", place), *every)
    for space in (place,) if place else _spaces(every):
        change = held_for(space, every)
        # What is held everywhere is told there.
        is_here = not place or (change and place in (change.place, pod.place))
        if change and is_here and not (space and terrain.lets_privileged_run(space)):
            how = f"lifts Pod Security {where(space)} and runs a privileged pod"
            yield edge(goal(Goal.ROOT), 14, how, change, pod)


def _spaces(every: tuple[Held, ...]) -> list[str]:
    """The namespaces by their names, or all of them at once."""
    if any(not held.names for held in every):
        return [EVERYWHERE]
    return sorted({name for held in every for name in held.names})


def steal_pods(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """16: pods driven from their nodes to one where one has a foothold; traffic drawn there."""
    del terrain
    if place:
        return
    leave = powers.holds("delete", "", "pods", place) or powers.holds(
        "create", "", "pods/eviction", place
    )
    close = powers.one_of(_CHANGE, "", "nodes", place) or powers.one_of(
        _CHANGE, "", "nodes/status", place
    )
    if leave and close:
        how = "drives pods to a node of its choice"
        yield edge(goal(Goal.TRAFFIC), 16, how, leave, close)
    for resource in ("services/status", "pods/status"):
        held = powers.one_of(_CHANGE, "", resource, place)
        if held:
            yield edge(goal(Goal.TRAFFIC), 16, f"draws traffic by {resource}", held)


def cloud_identities(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """19: the ConfigMap by which a cloud's identities become users and groups."""
    if not terrain.is_aws or place not in ("", KUBE_SYSTEM):
        return
    held = held_for("aws-auth", powers.every_of(_CHANGE, "", "configmaps", place))
    if held:
        how = "maps a cloud identity to system:masters in aws-auth"
        yield edge(goal(Goal.ADMIN), 19, how, held)


WAYS: tuple[Way, ...] = (
    read_secrets,
    create_pods,
    change_workloads,
    enter_pods,
    node_proxy,
    mint_tokens,
    plant_tokens,
    bind,
    escalate,
    impersonate,
    constrained_impersonation,
    approve_certificates,
    sign_certificates,
    webhooks,
    host_path_volumes,
    relabel_namespaces,
    join_aggregates,
    steal_pods,
    cloud_identities,
    revive_accounts,
)
