"""What one identity may do, place by place, as far as ways to more power need it. Pure."""

from collections.abc import Iterable

import msgspec

from shipkeeper.access.attributes import Attributes
from shipkeeper.access.rbac import Grant
from shipkeeper.access.rule import Compiled
from shipkeeper.access.words import CLUSTER_SCOPED

EVERYWHERE = ""


class Held(msgspec.Struct, frozen=True):
    """A permission that is held: by which binding, by which rule, for which names (empty: all)."""

    grant: Grant
    rule: Compiled

    @property
    def binding(self) -> str:
        """The binding, as it is spoken of."""
        return self.grant.binding.label

    @property
    def names(self) -> frozenset[str]:
        """The only names that it is for, none being no restriction."""
        return self.rule.names

    def is_for(self, name: str) -> bool:
        """Whether it is for an object of a name."""
        return not self.names or name in self.names


class Powers:
    """The grants of one identity; asked by verb and resource, in one namespace or everywhere."""

    def __init__(self, grants: Iterable[Grant], nodes: Iterable[str] = ()) -> None:
        self.nodes = frozenset(nodes)
        """The nodes on which it runs."""
        self._by_place: dict[str, list[Grant]] = {}
        self.grants = tuple(grants)
        for grant in self.grants:
            if grant.rules:
                self._by_place.setdefault(grant.namespace, []).append(grant)
        self._known: dict[tuple[str, str, str, str], Held | None] = {}

    @property
    def places(self) -> list[str]:
        """Where it holds anything: everywhere first, then its namespaces."""
        return sorted(self._by_place)

    @property
    def is_none(self) -> bool:
        """Whether it holds nothing."""
        return not self._by_place

    def one_of(self, verbs: Iterable[str], group: str, resource: str, place: str) -> Held | None:
        """The first of some verbs that is held."""
        for verb in verbs:
            held = self.holds(verb, group, resource, place)
            if held is not None:
                return held
        return None

    def holds(self, verb: str, group: str, resource: str, place: str) -> Held | None:
        """Whether a verb on a resource (maybe `pods/exec`) is held in a place for any name.

        One that is for all names is preferred. What has no namespace counts everywhere alone, and
        what is held everywhere is not said again of each namespace.
        """
        key = (verb, group, resource, place)
        if key not in self._known:
            self._known[key] = self._find(*key)
        return self._known[key]

    def also(self, verb: str, group: str, resource: str, place: str) -> Held | None:
        """The same, where it may also be held everywhere."""
        return self.holds(verb, group, resource, place) or (
            self.holds(verb, group, resource, EVERYWHERE) if place else None
        )

    def one_also(self, verbs: Iterable[str], group: str, resource: str, place: str) -> Held | None:
        """The first of some verbs, held in a place or everywhere."""
        return self.one_of(verbs, group, resource, place) or (
            self.one_of(verbs, group, resource, EVERYWHERE) if place else None
        )

    def _find(self, verb: str, group: str, resource: str, place: str) -> Held | None:
        # A request for a namespace is one in it, so rights to it can be held there.
        kind = resource.partition("/")[0]
        if place and kind in CLUSTER_SCOPED and kind != "namespaces":
            return None
        best: Held | None = None
        for grant in self._by_place.get(place, ()):
            for rule in grant.rules:
                if _means(rule, verb, group, resource):
                    if not rule.names:
                        return Held(grant, rule)
                    best = best or Held(grant, rule)
        return best

    def allows(self, asked: Attributes) -> bool:
        """Whether a single request is allowed."""
        places = {EVERYWHERE, asked.namespace}
        return any(
            grant.allowing(asked) is not None
            for place in places
            for grant in self._by_place.get(place, ())
        )

    @property
    def everything(self) -> Held | None:
        """A rule for every verb on everything, held everywhere."""
        for grant in self._by_place.get(EVERYWHERE, ()):
            for rule in grant.rules:
                if rule.any_verb and rule.any_group and rule.any_resource and not rule.names:
                    return Held(grant, rule)
        return None


def _means(rule: Compiled, verb: str, group: str, resource: str) -> bool:
    return (
        (rule.any_verb or verb in rule.verbs)
        and (rule.any_group or group in rule.groups)
        and rule.has_resource(resource, resource.partition("/")[2])
    )
