"""The ways from a permission to more power, one function a way. Pure.

Numbers are those of docs/access.md. A way is only told when everything that it takes is held:
`approve` without the right to update approvals is no way.
"""

from collections.abc import Callable, Iterator

from shipkeeper.access.escalation.edge import (
    ANY_NODE,
    ANY_USER,
    Edge,
    Goal,
    goal,
    inside,
    pods,
    secrets,
    tokens,
)
from shipkeeper.access.escalation.powers import EVERYWHERE, Held, Powers
from shipkeeper.access.escalation.terrain import KUBE_SYSTEM, Terrain

Way = Callable[[Powers, str, Terrain], Iterator[Edge]]

RBAC = "rbac.authorization.k8s.io"
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
# From this minor on impersonation may be granted for certain verbs alone.
_CONSTRAINED = 36


def _edge(target: tuple[str, str], path: int, how: str, *held: Held | None) -> Edge:
    return Edge(target=target, path=path, how=how, held=tuple(each for each in held if each))


def _where(place: str) -> str:
    return f"in namespace {place}" if place else "in every namespace"


def read_secrets(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """1: reading Secrets, by list or watch as well, which send their contents."""
    del terrain
    held = powers.one_of(_READ, "", "secrets", place)
    # By name only one can be read, which is what names are for.
    if held and not held.names:
        yield _edge(secrets(place), 1, f"reads Secrets {_where(place)}", held)


def create_pods(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """2: a pod of one's own runs as any ServiceAccount of its namespace."""
    del terrain
    for group, resource in (("", "pods"), *_CONTROLLERS):
        held = powers.holds("create", group, resource, place)
        if held:
            yield _edge(pods(place), 2, f"creates {resource} {_where(place)}", held)
            return


def change_workloads(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """3: a workload's template, or a pod's image, changed to what one likes."""
    del terrain
    for group, resource in _CONTROLLERS:
        held = powers.one_of(_CHANGE, group, resource, place)
        if held:
            yield _edge(pods(place), 3, f"changes {resource} {_where(place)}", held)
            break
    held = powers.one_of(_CHANGE, "", "pods", place)
    if held:
        yield _edge(inside(place), 3, f"changes the images of pods {_where(place)}", held)


def enter_pods(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """4: code run in the pods of others."""
    verbs = ("create",) if terrain.minor >= _WEBSOCKETS_CREATE else ("create", "get")
    for subresource in ("exec", "attach"):
        held = powers.one_of(verbs, "", f"pods/{subresource}", place)
        if held:
            yield _edge(inside(place), 4, f"runs {subresource} in pods {_where(place)}", held)
    held = powers.one_of(_CHANGE, "", "pods/ephemeralcontainers", place)
    if held:
        yield _edge(inside(place), 4, f"adds containers to pods {_where(place)}", held)


def node_proxy(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """5: the kubelet's own API runs commands, over a websocket even with `get`."""
    del terrain
    held = powers.one_of(("get", "create"), "", "nodes/proxy", place)
    if held:
        yield _edge(inside(EVERYWHERE), 5, "runs commands in all pods through nodes/proxy", held)


def mint_tokens(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """6: a token of a ServiceAccount."""
    held = powers.holds("create", "", "serviceaccounts/token", place)
    if held and not held.names:
        yield _edge(tokens(place), 6, f"makes tokens of ServiceAccounts {_where(place)}", held)
    elif held:
        yield from _named_accounts(held, place, terrain, 6, "makes tokens of")


def plant_tokens(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """7: a Secret of the token type is filled with a token, and read."""
    del terrain
    made = powers.also("create", "", "secrets", place)
    if made is None:
        return
    read = powers.one_of(_READ, "", "secrets", place)
    pod = powers.holds("create", "", "pods", place)
    if (read and not read.names) or pod:
        how = f"plants a Secret for a ServiceAccount's token {_where(place)} and reads it"
        yield _edge(tokens(place), 7, how, made, read or pod)


def bind(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """8: a role bound that one does not have."""
    if place:
        binding = powers.one_also(_WRITE, RBAC, "rolebindings", place)
        may = powers.also("bind", RBAC, "clusterroles", place)
        # What is held everywhere is told there.
        if binding and may and place in (binding.grant.namespace, may.grant.namespace):
            yield from _bound(may, binding, place, terrain)
        return
    binding = powers.one_of(_WRITE, RBAC, "clusterrolebindings", place)
    may = powers.holds("bind", RBAC, "clusterroles", place)
    if binding and may:
        yield from _bound(may, binding, place, terrain)
    rolebinding = powers.one_of(_WRITE, RBAC, "rolebindings", place)
    if rolebinding and may and not binding:
        yield from _bound(may, rolebinding, KUBE_SYSTEM, terrain)


def _bound(may: Held, binding: Held, place: str, terrain: Terrain) -> Iterator[Edge]:
    """Bound in one namespace, or everywhere; only certain roles if `bind` is for names."""
    del terrain
    if may.names:
        for name in sorted(may.names):
            target = ("ClusterRole", f"{place}|{name}")
            yield _edge(target, 8, f"binds ClusterRole {name} {_where(place)}", may, binding)
    elif place:
        how = f"binds any role {_where(place)}"
        yield _edge(("Namespace", place), 8, how, may, binding)
    else:
        yield _edge(goal(Goal.ADMIN), 8, "binds cluster-admin to itself", may, binding)


def escalate(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """8: the role that one has, rewritten."""
    del terrain
    for resource in ("clusterroles", "roles"):
        may = powers.holds("escalate", RBAC, resource, place)
        change = powers.one_of(_CHANGE, RBAC, resource, place)
        if not (may and change):
            continue
        if resource == "clusterroles":
            yield _edge(goal(Goal.ADMIN), 8, "rewrites a ClusterRole that it has", may, change)
        else:
            target = ("Namespace", place or KUBE_SYSTEM)
            yield _edge(target, 8, f"rewrites a Role {_where(place)}", may, change)


def impersonate(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """8: requests in another's name."""
    accounts = powers.holds("impersonate", "", "serviceaccounts", place)
    if accounts and not accounts.names:
        how = f"impersonates ServiceAccounts {_where(place)}"
        yield _edge(tokens(place), 8, how, accounts)
    elif accounts:
        yield from _named_accounts(accounts, place, terrain, 8, "impersonates")
    if place:
        return
    users = powers.holds("impersonate", "", "users", place)
    groups = powers.holds("impersonate", "", "groups", place)
    if users and not users.names:
        yield _edge(ANY_USER, 8, "impersonates any user", users)
    for name in sorted(users.names) if users else ():
        yield _edge(("User", name), 8, f"impersonates user {name}", users)
    # A group is never impersonated alone.
    somebody = users or accounts
    if groups and somebody and not groups.names:
        how = "impersonates the group system:masters"
        yield _edge(goal(Goal.ADMIN), 8, how, groups, somebody)
    for name in sorted(groups.names) if groups and somebody else ():
        yield _edge(("Group", name), 8, f"impersonates group {name}", groups, somebody)


def constrained_impersonation(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """9: the same for certain verbs: who it is, and what for, are granted apart."""
    if terrain.minor < _CONSTRAINED or place:
        return
    modes = (
        ("user-info", "users", ANY_USER, "any user"),
        ("serviceaccount", "serviceaccounts", tokens(EVERYWHERE), "any ServiceAccount"),
        ("arbitrary-node", "nodes", ANY_NODE, "any node"),
    )
    for mode, resource, target, whom in modes:
        who = powers.holds(f"impersonate:{mode}", "authentication.k8s.io", resource, place)
        what = _impersonates_on(powers, mode)
        if who and what and not who.names:
            yield _edge(target, 9, f"impersonates {whom} for certain verbs", who, what)


def _impersonates_on(powers: Powers, mode: str) -> Held | None:
    """A permission to do anything of the dangerous things in another's name."""
    wanted = (
        *((verb, "", "secrets") for verb in _READ),
        ("create", "", "pods"),
        ("create", "", "serviceaccounts/token"),
        ("create", RBAC, "clusterrolebindings"),
    )
    for verb, group, resource in wanted:
        held = powers.holds(f"impersonate-on:{mode}:{verb}", group, resource, EVERYWHERE)
        if held:
            return held
    return None


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
            yield _edge(target, 10, f"approves a certificate of {whom}", made, approved, signs)


def sign_certificates(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """11: a certificate written into a request's status, past the approval."""
    del terrain
    if place:
        return
    status = powers.one_of(_CHANGE, CERTIFICATES, "certificatesigningrequests/status", place)
    signs = _signer(powers, "sign", _CLIENT_SIGNER) or _signer(powers, "sign", _KUBELET_SIGNER)
    if status and signs:
        how = "hands out certificates of its own making to whoever asked for one"
        yield _edge(goal(Goal.TRAFFIC), 11, how, status, signs)


def _signer(powers: Powers, verb: str, signer: str) -> Held | None:
    held = powers.holds(verb, CERTIFICATES, "signers", EVERYWHERE)
    if held is None or not held.names:
        return held
    domain = signer.partition("/")[0]
    return held if held.names & {signer, f"{domain}/*"} else None


def webhooks(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """12: every object shown to a webhook of one's own, and changed by it."""
    del terrain
    if place:
        return
    held = powers.one_of(_WRITE, ADMISSION, "mutatingwebhookconfigurations", place)
    if held:
        yield _edge(pods(EVERYWHERE), 12, "changes every pod that is created, by a webhook", held)
    held = powers.one_of(_WRITE, ADMISSION, "validatingwebhookconfigurations", place)
    if held:
        yield _edge(secrets(EVERYWHERE), 12, "is shown every Secret that is written", held)


def host_path_volumes(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """13: a PersistentVolume of a node's own disk, mounted where Pod Security does not look."""
    del terrain
    volume = powers.holds("create", "", "persistentvolumes", EVERYWHERE)
    claim = powers.also("create", "", "persistentvolumeclaims", place)
    pod = powers.also("create", "", "pods", place)
    if volume and claim and pod:
        how = "mounts a node's disk through a PersistentVolume"
        yield _edge(goal(Goal.ROOT), 13, how, volume, claim, pod)


def relabel_namespaces(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """14: a namespace's labels changed, by which Pod Security and NetworkPolicies go."""
    if place and terrain.lets_privileged_run(place):
        return
    change = powers.one_also(_CHANGE, "", "namespaces", EVERYWHERE)
    pod = powers.holds("create", "", "pods", place)
    if change and pod and (not change.names or not place or place in change.names):
        how = f"lifts Pod Security {_where(place)} and runs a privileged pod"
        yield _edge(goal(Goal.ROOT), 14, how, change, pod)


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
        yield _edge(goal(Goal.TRAFFIC), 16, how, leave, close)
    for resource in ("services/status", "pods/status"):
        held = powers.one_of(_CHANGE, "", resource, place)
        if held:
            yield _edge(goal(Goal.TRAFFIC), 16, f"draws traffic by {resource}", held)


def cloud_identities(powers: Powers, place: str, terrain: Terrain) -> Iterator[Edge]:
    """19: the ConfigMap by which a cloud's identities become users and groups."""
    if not terrain.is_aws or place not in ("", KUBE_SYSTEM):
        return
    held = powers.one_of(_CHANGE, "", "configmaps", place)
    if held and (not held.names or "aws-auth" in held.names):
        how = "maps a cloud identity to system:masters in aws-auth"
        yield _edge(goal(Goal.ADMIN), 19, how, held)


def _named_accounts(
    held: Held, place: str, terrain: Terrain, path: int, how: str
) -> Iterator[Edge]:
    """The ServiceAccounts of certain names, in a namespace or all."""
    for namespace in (place,) if place else terrain.namespaces:
        for account in sorted(terrain.accounts.get(namespace, ())):
            if account.rpartition(":")[2] in held.names:
                yield _edge(("ServiceAccount", account), path, f"{how} {account}", held)


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
    steal_pods,
    cloud_identities,
)
