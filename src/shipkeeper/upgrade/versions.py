"""What runs where, judged by the skew policy; pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

import msgspec

from shipkeeper.model.version import Version
from shipkeeper.upgrade.component import CONTROLLERS, OF_THEIR_OWN, Component, Name
from shipkeeper.upgrade.policy import (
    Rule,
    judge_api_servers,
    judge_controller,
    judge_kubectl,
    judge_kubelet,
    judge_proxy,
)
from shipkeeper.upgrade.shape import Member, Shape, Worker

MANAGED = "control-plane"
"""What the control plane is called where none of its parts can be seen."""


class ClusterVersions(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Every component that tells a version; `server` is what the API server answered.

    `control_planes` are nodes by their role; `not_seen` says what could not be looked at.
    """

    server: str
    components: tuple[Component, ...]
    control_planes: tuple[str, ...] = ()
    not_seen: tuple[str, ...] = ()

    @property
    def server_version(self) -> Version:
        """The version that the API server answered with."""
        return Version.parse(self.server)

    def of(self, *names: Name) -> list[Component]:
        """The components of some names."""
        return [each for each in self.components if each.name in names]

    @property
    def is_managed(self) -> bool:
        """Whether somebody else runs the control plane: none of its parts is seen as a pod."""
        return not any(each.pod for each in self.of(Name.API_SERVER))


class Violation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A rule of the skew policy that is broken now."""

    rule: str
    component: str
    version: str
    where: tuple[str, ...]
    message: str
    remedy: str


def api_server_range(versions: ClusterVersions) -> tuple[int, int]:
    """The minors of the oldest and the newest API server."""
    minors = [_minor(each) for each in versions.of(Name.API_SERVER)]
    known = [each for each in minors if each is not None] or [versions.server_version.minor]
    return min(known), max(known)


def violations(versions: ClusterVersions, *, shared: bool = True) -> tuple[Violation, ...]:
    """Every rule that is broken now; with `shared`, controllers may reach any API server."""
    found: defaultdict[tuple[Rule, Name, str], list[str]] = defaultdict(list)
    for rule, component in _broken(versions, shared=shared):
        found[rule, component.name, component.text].append(_place(component))
    return tuple(
        Violation(
            rule=rule.name,
            component=name,
            version=text,
            where=tuple(sorted(set(nodes))),
            message=f"{name} {text} breaks the rule that {rule.says}",
            remedy=_remedy(rule, name),
        )
        for (rule, name, text), nodes in found.items()
    )


def _broken(versions: ClusterVersions, *, shared: bool) -> Iterator[tuple[Rule, Component]]:
    oldest, newest = api_server_range(versions)
    servers = {each.node: _minor(each) for each in versions.of(Name.API_SERVER)}
    kubelets = {each.node: _minor(each) for each in versions.of(Name.KUBELET)}
    if rule := judge_api_servers(oldest, newest):
        late = (each for each in versions.of(Name.API_SERVER) if _minor(each) == oldest)
        yield from ((rule, each) for each in late)
    for each in versions.components:
        if (minor := _minor(each)) is None:
            continue
        found: Rule | None = None
        if each.name is Name.KUBELET:
            found = judge_kubelet(minor, oldest, newest)
        elif each.name is Name.PROXY:
            found = judge_proxy(minor, kubelets.get(each.node), oldest, newest)
        elif each.name in CONTROLLERS:
            own = None if shared else servers.get(each.node)
            found = judge_controller(minor, own or oldest, own or newest)
        elif each.name is Name.KUBECTL:
            found = judge_kubectl(minor, oldest, newest)
        if found is not None:
            yield found, each


def _minor(component: Component) -> int | None:
    version = None if component.name in OF_THEIR_OWN else component.version
    return version.minor if version else None


def _place(component: Component) -> str:
    if component.name is Name.KUBECTL:
        return "this machine"
    return component.node or MANAGED


def _remedy(rule: Rule, name: Name) -> str:
    if rule.name.endswith(("NotNewer",)):
        return f"upgrade the API servers, or install an older {name}"
    if rule.name == "KubectlWithinOne":
        return "use a kubectl of the API server's minor version"
    return f"upgrade {name} before the API servers go further"


def shape_of(versions: ClusterVersions, *, shared: bool) -> Shape:
    """The cluster as the planner sees it; nodes whose versions cannot be read are left out."""
    servers = {each.node: each for each in versions.of(Name.API_SERVER)}.values()
    proxies = {each.node: _minor(each) for each in versions.of(Name.PROXY)}
    members = tuple(_member(each, versions) for each in servers)
    workers = tuple(
        Worker.of(each.node, minor, proxies.get(each.node))
        for each in versions.of(Name.KUBELET)
        if (minor := _minor(each)) is not None
    )
    return Shape(members, workers, shared=shared and len(members) > 1)


def _member(server: Component, versions: ClusterVersions) -> Member:
    minor = _minor(server)
    own = minor if minor is not None else versions.server_version.minor
    beside = _minors(
        each
        for each in versions.of(Name.CONTROLLER_MANAGER, Name.SCHEDULER)
        if each.node == server.node
    )
    return Member(server.node or MANAGED, own, min(beside, default=own))


def _minors(components: Iterable[Component]) -> list[int]:
    return [minor for each in components if (minor := _minor(each)) is not None]
