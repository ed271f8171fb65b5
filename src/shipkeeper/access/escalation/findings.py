"""What the graph found, told: who gets where, by what, where to cut, and what that breaks. Pure."""

from collections.abc import Iterator

from shipkeeper.access.attributes import SERVICE_ACCOUNTS, UNAUTHENTICATED
from shipkeeper.access.chain import Chain
from shipkeeper.access.escalation.edge import Edge, Goal
from shipkeeper.access.escalation.graph import EscalationGraph, Route
from shipkeeper.access.rule import spell
from shipkeeper.engine.finding import Finding, Severity
from shipkeeper.model.rbac import Binding

_SEVERITY = {
    Goal.ADMIN: Severity.CRITICAL,
    Goal.ROOT: Severity.HIGH,
    Goal.SECRETS: Severity.HIGH,
    Goal.TRAFFIC: Severity.MEDIUM,
}
_GAINS = {
    Goal.ADMIN: "can become cluster-admin",
    Goal.ROOT: "can get root on nodes",
    Goal.SECRETS: "can read every Secret",
    Goal.TRAFFIC: "can move others' pods or traffic",
}
_BOOTSTRAP = ("kubernetes.io/bootstrapping", "rbac-defaults")
_EVERYBODY = (UNAUTHENTICATED, "system:authenticated", SERVICE_ACCOUNTS)


class WayFinding(Finding, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A way to more power: its evidence are its steps, its remedy is where it is cut."""

    goal: Goal
    cut: str = ""
    """The binding without which it is no way, empty if only the authorizers' chain opens it."""

    @property
    def identity(self) -> tuple[str, ...]:
        """A subject may have several ways of a number."""
        return (*super().identity, self.goal.value, self.cut)


def escalation_findings(chain: Chain, *, with_system: bool = False) -> Iterator[WayFinding]:
    """A finding for each subject and goal; what Kubernetes binds itself only `with_system`."""
    bindings = {binding.label: binding for binding in chain.policy.bindings}
    for route in EscalationGraph(chain).routes():
        first = _deciding(route)
        if not with_system and _is_system(first, bindings, route):
            continue
        yield _finding(chain, route, first, bindings)


def _deciding(route: Route) -> Edge:
    """The first edge that a binding, or a line, opens: there the way is cut."""
    return next((edge for edge in route.edges if edge.bindings or edge.remedy), route.edges[0])


def _is_system(edge: Edge, bindings: dict[str, Binding], route: Route) -> bool:
    if not edge.bindings:
        return not edge.remedy
    key, value = _BOOTSTRAP
    return all(
        label in bindings and bindings[label].metadata.labels.get(key) == value
        for label in edge.bindings
    ) or route.start == ("Group", "system:masters")


def _finding(chain: Chain, route: Route, first: Edge, bindings: dict[str, Binding]) -> WayFinding:
    kind, name = route.start
    # The last one that a binding opens is what it takes on top of the others.
    cut = first.bindings[-1] if first.bindings else ""
    path = next((edge.path for edge in route.edges if edge.path), 20 if name in _EVERYBODY else 0)
    return WayFinding(
        rule=f"path-{path:02}" if path else "admin",
        title=_GAINS[route.goal],
        severity=_SEVERITY[route.goal],
        target=f"{kind.lower()}/{name}",
        message=f"{kind} {name} {_GAINS[route.goal]}",
        evidence=tuple(edge.how for edge in route.edges),
        goal=route.goal,
        cut=cut,
        breaks=tuple(_breaks(chain, bindings.get(cut))),
        remedy=f"cut {cut}" if cut else first.remedy,
    )


def _breaks(chain: Chain, binding: Binding | None) -> Iterator[str]:
    """What the subjects of a binding lose with it."""
    if binding is None or chain.rbac is None:
        return
    role = chain.rbac.roles.get(binding.role_key)
    for subject in binding.subjects or ():
        for rule in (role.rules or ()) if role else ():
            yield f"{subject.kind} {subject.name}: {spell(rule)}"
