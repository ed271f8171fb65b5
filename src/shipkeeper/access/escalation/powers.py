"""What one identity may do, place by place, as far as ways to more power need it. Pure."""

from collections.abc import Iterable, Iterator

import msgspec

from shipkeeper.access.attributes import Attributes
from shipkeeper.access.rbac import Grant
from shipkeeper.access.rule import Compiled
from shipkeeper.access.words import CLUSTER_SCOPED
from shipkeeper.model.rbac import GROUP

EVERYWHERE = ""


class Held(msgspec.Struct, frozen=True):
    """A permission that is held: by which binding, by which rule, for which names (empty: all)."""

    grant: Grant
    rule: Compiled
    only_in: str = ""
    """The namespace in which it is good for something, if that is less than where it is held."""

    @property
    def place(self) -> str:
        """The namespace in which it counts; empty for all."""
        return self.only_in or self.grant.namespace

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
        self._known: dict[tuple[str, str, str, str], tuple[Held, ...]] = {}

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
        """Whether a verb on a resource (maybe `pods/exec`) is held in a place for any name."""
        return next(iter(self.every(verb, group, resource, place)), None)

    def every(self, verb: str, group: str, resource: str, place: str) -> tuple[Held, ...]:
        """All by which a verb on a resource is held in a place: one for all names, or some by name.

        What has no namespace counts everywhere alone, and what is held everywhere is not said again
        of each namespace.
        """
        key = (verb, group, resource, place)
        if key not in self._known:
            self._known[key] = self._find(*key)
        return self._known[key]

    def every_also(self, verb: str, group: str, resource: str, place: str) -> tuple[Held, ...]:
        """The same, where it may also be held everywhere."""
        found = self.every(verb, group, resource, place)
        return (*found, *self.every(verb, group, resource, EVERYWHERE)) if place else found

    def somewhere(self, verb: str, group: str, resource: str) -> Iterator[Held]:
        """The same, wherever it is held: everywhere first."""
        return (held for place in self.places for held in self.every(verb, group, resource, place))

    def every_of(
        self, verbs: Iterable[str], group: str, resource: str, place: str
    ) -> tuple[Held, ...]:
        """All by which any of some verbs is held; the first verb's come first."""
        return tuple(held for verb in verbs for held in self.every(verb, group, resource, place))

    def also(self, verb: str, group: str, resource: str, place: str) -> Held | None:
        """Whether a verb is held in a place, or everywhere; what is for all names is preferred."""
        found = self.every_also(verb, group, resource, place)
        return next((held for held in found if not held.names), next(iter(found), None))

    def one_also(self, verbs: Iterable[str], group: str, resource: str, place: str) -> Held | None:
        """The first of some verbs, held in a place or everywhere."""
        return self.one_of(verbs, group, resource, place) or (
            self.one_of(verbs, group, resource, EVERYWHERE) if place else None
        )

    def _find(self, verb: str, group: str, resource: str, place: str) -> tuple[Held, ...]:
        # A request for a namespace is one in it, so rights to it can be held there.
        kind = resource.partition("/")[0]
        if place and kind in CLUSTER_SCOPED and kind != "namespaces":
            return ()
        found = self._granted(verb, group, resource, place)
        if verb.rpartition(":")[2] == "create" and "/" not in resource:
            if any(not held.names for held in found):
                return found
            return self._applied(found, verb, group, resource, place)
        return found

    def _granted(self, verb: str, group: str, resource: str, place: str) -> tuple[Held, ...]:
        by_name: list[Held] = []
        for grant in self._by_place.get(place, ()):
            for rule in grant.rules:
                if _means(rule, verb, group, resource):
                    if not rule.names:
                        return (Held(grant, rule),)
                    by_name.append(Held(grant, rule))
        return tuple(by_name)

    def _applied(
        self, by_name: tuple[Held, ...], verb: str, group: str, resource: str, place: str
    ) -> tuple[Held, ...]:
        """Of the permissions to create by name those that are good for something.

        What is created has no name when that is authorized, unless an apply (or, for roles and
        bindings, an update) creates it: k8s.io/apiserver pkg/endpoints/handlers/patch.go.
        """
        if verb != "create":
            return ()
        verbs = ("patch", "update") if group == GROUP else ("patch",)
        here = [held for each in verbs for held in self.every(each, group, resource, place)]
        if not place:
            return _for_a_name(by_name, here)
        wide = [held for each in verbs for held in self.every(each, group, resource, EVERYWHERE)]
        # Created everywhere, but applied in this place alone.
        made = self._granted(verb, group, resource, EVERYWHERE) if here else ()
        narrowed = (Held(each.grant, each.rule, place) for each in _for_a_name(made, here))
        return (*_for_a_name(by_name, [*here, *wide]), *narrowed)

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


def _for_a_name(some: Iterable[Held], others: list[Held]) -> tuple[Held, ...]:
    """Those by name of which others are for one of the names."""
    return tuple(held for held in some if any(held_for(name, others) for name in held.names))


def held_for(name: str, held: Iterable[Held]) -> Held | None:
    """The first that is for an object of a name."""
    return next((each for each in held if each.is_for(name)), None)


def _means(rule: Compiled, verb: str, group: str, resource: str) -> bool:
    return (
        (rule.any_verb or verb in rule.verbs)
        and (rule.any_group or group in rule.groups)
        and rule.has_resource(resource, resource.partition("/")[2])
    )
