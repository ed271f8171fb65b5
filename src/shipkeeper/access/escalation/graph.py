"""From every subject to cluster-admin, node root and every Secret: the shortest way. Pure."""

from collections import deque
from collections.abc import Iterable, Iterator

import msgspec

from shipkeeper.access.attributes import (
    AUTHENTICATED,
    MASTERS,
    UNAUTHENTICATED,
)
from shipkeeper.access.chain import Chain
from shipkeeper.access.escalation.edge import (
    ANY_NAME,
    Edge,
    Goal,
    Place,
    goal,
    pods,
    secrets,
    tokens,
)
from shipkeeper.access.escalation.identities import as_user
from shipkeeper.access.escalation.paths import WAYS
from shipkeeper.access.escalation.powers import EVERYWHERE, Powers
from shipkeeper.access.escalation.terrain import Terrain
from shipkeeper.access.rbac import Grant
from shipkeeper.access.rule import Compiled
from shipkeeper.errors import UsageError
from shipkeeper.model.meta import ObjectMeta
from shipkeeper.model.rbac import Binding, RoleRef

IDENTITIES = frozenset({"User", "Group", "ServiceAccount"})
_ALL = "*"


class UnknownPlaceError(UsageError):
    """The graph has no places of this kind."""


class Route(msgspec.Struct, frozen=True):
    """The shortest way of one subject to one goal: the edges in their order."""

    start: Place
    goal: Goal
    edges: tuple[Edge, ...]


class EscalationGraph:
    """Places, and the ways between them; the edges of a place are found when they are needed."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.terrain = Terrain(chain)
        self._identities = self.terrain.identities
        self._allows_all = "AlwaysAllow" in chain.policy.chain.types
        self._edges: dict[Place, tuple[Edge, ...]] = {}

    def starts(self) -> list[Place]:
        """Everybody from whom a way may begin: all subjects of bindings, and of ABAC lines."""
        found = set(self._identities.known)
        if self._allows_all:
            found |= {("Group", UNAUTHENTICATED), ("Group", AUTHENTICATED)}
        return sorted(found)

    def routes(self, starts: Iterable[Place] | None = None) -> Iterator[Route]:
        """The shortest way of each subject to each goal; whoever is cluster-admin has the rest."""
        begin = self.starts() if starts is None else list(starts)
        leading_to = self._explored(begin)
        nearest = {each: _towards(goal(each), leading_to) for each in Goal}
        for start in begin:
            for each in Goal:
                if start in nearest[each]:
                    yield Route(start, each, _walked(nearest[each], start))
                    if each is Goal.ADMIN:
                        break

    def _explored(self, starts: Iterable[Place]) -> dict[Place, list[tuple[Place, Edge]]]:
        """Every edge that anybody can come to, by its target."""
        leading_to: dict[Place, list[tuple[Place, Edge]]] = {}
        seen = set(starts)
        waiting = list(seen)
        while waiting:
            place = waiting.pop()
            for edge in self.edges(place):
                leading_to.setdefault(edge.target, []).append((place, edge))
                if edge.target not in seen:
                    seen.add(edge.target)
                    waiting.append(edge.target)
        return leading_to

    def edges(self, place: Place) -> tuple[Edge, ...]:
        """What one can get to from a place by one step."""
        if place not in self._edges:
            self._edges[place] = tuple(self._find(place))
        return self._edges[place]

    def _find(self, place: Place) -> Iterator[Edge]:
        kind, name = place
        if kind in IDENTITIES:
            return self._of_identity(kind, name)
        find = {
            "ClusterRole": self._of_role,
            "Namespace": self._of_namespace,
            "Pods": self._of_pods,
            "Inside": self._of_inside,
            "Secrets": self._of_secrets,
            "Tokens": self._of_tokens,
            "AnyUser": self._everybody,
            "AnyNode": self._of_any_node,
            "Goal": self._of_goal,
        }
        if kind not in find:
            raise UnknownPlaceError(
                f"there is no place of the kind {kind!r}",
                reason="NoPlace",
                hint="begin at a User, a Group or a ServiceAccount",
            )
        return find[kind](name)

    def _of_identity(self, kind: str, name: str) -> Iterator[Edge]:
        if (kind, name) == ("Group", MASTERS):
            yield Edge(target=goal(Goal.ADMIN), path=0, how="is in the group system:masters")
            return
        if self._allows_all:
            how = "everything is allowed to everybody, by mode AlwaysAllow"
            remedy = "take AlwaysAllow out of --authorization-mode"
            yield Edge(target=goal(Goal.ADMIN), path=20, how=how, remedy=remedy)
            return
        user = as_user(kind, name)
        grants = self._identities.grants(user)
        yield from self._of_powers(Powers(grants, self.terrain.nodes_of(user)))

    def _of_powers(self, powers: Powers) -> Iterator[Edge]:
        if powers.is_none:
            return
        everything = powers.everything
        if everything:
            how = "may do everything"
            yield _by_lines(Edge(target=goal(Goal.ADMIN), path=0, how=how, held=(everything,)))
            return
        places = {EVERYWHERE, *powers.places}
        for place in sorted(places):
            for way in WAYS:
                yield from map(_by_lines, way(powers, place, self.terrain))

    def _of_role(self, name: str) -> Iterator[Edge]:
        return self._of_powers(Powers(self._role_grants(name)))

    def _role_grants(self, name: str) -> Iterator[Grant]:
        """The rules of a role as if it were bound: NAMESPACE|ROLE, the namespace maybe empty."""
        namespace, _, role_name = name.partition("|")
        role = self._identities.rbac.roles.get(("", role_name))
        if role is not None:
            binding = Binding(
                metadata=ObjectMeta(name="to-be-made", namespace=namespace),
                role_ref=RoleRef(kind="ClusterRole", name=role_name),
            )
            rules = tuple(Compiled(rule) for rule in role.rules or ())
            yield Grant(binding, rules, is_missing=False)

    def _of_namespace(self, name: str) -> Iterator[Edge]:
        for target in (pods(name), secrets(name), tokens(name)):
            yield Edge(target=target, path=0, how=f"has every right in namespace {name}")
        for account in sorted(self.terrain.ghosts.get(name, ())):
            how = f"makes {account} anew, to which bindings still are"
            yield Edge(target=("ServiceAccount", account), path=20, how=how)

    def _of_pods(self, namespace: str) -> Iterator[Edge]:
        if namespace == _ALL:
            for each in self.terrain.namespaces:
                yield Edge(target=pods(each), path=0, how=f"runs pods in namespace {each}")
            yield Edge(target=secrets(_ALL), path=0, how="mounts any Secret into a pod")
            return
        how = f"runs a pod as it in namespace {namespace}"
        if self.terrain.lets_privileged_run(namespace):
            why = f"runs a privileged pod in namespace {namespace}"
            yield Edge(target=goal(Goal.ROOT), path=2, how=why)
        for account in sorted(self.terrain.accounts.get(namespace, ())):
            yield Edge(target=("ServiceAccount", account), path=2, how=how)
        yield Edge(target=secrets(namespace), path=2, how="mounts a Secret into a pod")

    def _of_inside(self, namespace: str) -> Iterator[Edge]:
        spaces = self.terrain.namespaces if namespace == _ALL else [namespace]
        for each in spaces:
            for account in sorted(self.terrain.running.get(each, ())):
                how = f"takes the token from a pod in namespace {each}"
                yield Edge(target=("ServiceAccount", account), path=4, how=how)
            if each in self.terrain.privileged:
                how = f"is in a privileged pod of namespace {each}"
                yield Edge(target=goal(Goal.ROOT), path=4, how=how)

    def _of_secrets(self, namespace: str) -> Iterator[Edge]:
        if namespace == _ALL:
            yield Edge(target=goal(Goal.SECRETS), path=1, how="reads every Secret")
        spaces = self.terrain.namespaces if namespace == _ALL else [namespace]
        for each in spaces:
            for account in sorted(self.terrain.token_accounts.get(each, ())):
                how = f"reads its token from a Secret in namespace {each}"
                yield Edge(target=("ServiceAccount", account), path=1, how=how)

    def _of_tokens(self, namespace: str) -> Iterator[Edge]:
        spaces = self.terrain.namespaces if namespace == _ALL else [namespace]
        for each in spaces:
            for account in sorted(self.terrain.accounts.get(each, ())):
                yield Edge(target=("ServiceAccount", account), path=6, how=f"becomes {account}")

    def _everybody(self, name: str) -> Iterator[Edge]:
        kinds = {"User"} if name == ANY_NAME[1] else {"User", "Group"}
        for kind, whom in self._identities.known:
            if kind in kinds and whom != MASTERS:
                yield Edge(target=(kind, whom), path=8, how=f"becomes {kind.lower()} {whom}")

    def _of_any_node(self, name: str) -> Iterator[Edge]:
        del name
        for account in sorted(set[str]().union(*self.terrain.crews.values())):
            how = f"makes a token of {account} as the kubelet of one of its pods"
            yield Edge(target=("ServiceAccount", account), path=0, how=how)
        aboard = self.terrain.tokens_aboard.values()
        for account in sorted({account for found in aboard for account in found.values()}):
            how = f"reads a Secret with a token of {account} as the kubelet of a pod that has it"
            yield Edge(target=("ServiceAccount", account), path=0, how=how)

    def _of_goal(self, name: str) -> Iterator[Edge]:
        if name != Goal.ROOT:
            return
        if self.terrain.has_control_plane:
            how = "reads the cluster's keys on a control-plane node"
            yield Edge(target=goal(Goal.ADMIN), path=18, how=how)
        for namespace in sorted(self.terrain.running):
            for account in sorted(self.terrain.running[namespace]):
                how = f"takes the token of a pod in namespace {namespace} from its node"
                yield Edge(target=("ServiceAccount", account), path=18, how=how)


def _by_lines(edge: Edge) -> Edge:
    """17: an edge that takes a line of an ABAC policy."""
    if not edge.lines:
        return edge
    named = " and ".join(f"line {number}" for number in edge.lines)
    how, remedy = f"{edge.how} (ABAC {named})", f"take {named} out of the ABAC policy"
    return msgspec.structs.replace(edge, path=17, how=how, remedy=remedy)


def _towards(end: Place, leading_to: dict[Place, list[tuple[Place, Edge]]]) -> dict[Place, Edge]:
    """For every place from which there is a way to the end, the first edge of the shortest."""
    first: dict[Place, Edge] = {}
    queue = deque([end])
    while queue:
        for place, edge in leading_to.get(queue.popleft(), ()):
            if place != end and place not in first:
                first[place] = edge
                queue.append(place)
    return first


def _walked(first: dict[Place, Edge], start: Place) -> tuple[Edge, ...]:
    edges: list[Edge] = []
    place = start
    while place in first:
        edges.append(first[place])
        place = first[place].target
    return tuple(edges)
