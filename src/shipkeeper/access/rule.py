"""When a rule of a role allows something, and when one covers another. Pure.

As k8s.io/kubernetes pkg/apis/rbac/v1/evaluation_helpers.go and the policy comparator of
k8s.io/component-helpers do it.
"""

from collections.abc import Iterable, Iterator

import msgspec

from shipkeeper.access.attributes import Attributes
from shipkeeper.model.rbac import PolicyRule

ANY = "*"


class Compiled:
    """A rule, ready to be asked thousands of times."""

    __slots__ = (
        "any_group",
        "any_resource",
        "any_verb",
        "groups",
        "names",
        "prefixes",
        "resources",
        "rule",
        "urls",
        "verbs",
    )

    def __init__(self, rule: PolicyRule) -> None:
        self.rule = rule
        self.verbs = frozenset(rule.verbs)
        self.any_verb = ANY in self.verbs
        self.groups = frozenset(rule.api_groups)
        self.any_group = ANY in self.groups
        self.resources = frozenset(rule.resources)
        self.any_resource = ANY in self.resources
        self.names = frozenset(rule.resource_names)
        self.urls = frozenset(rule.non_resource_urls)
        self.prefixes = tuple(url.rstrip(ANY) for url in self.urls if url.endswith(ANY))

    def allows(self, asked: Attributes) -> bool:
        """Whether it allows what is asked, whoever asks."""
        if not (self.any_verb or asked.verb in self.verbs):
            return False
        if not asked.resource_request:
            return self._has_path(asked.path)
        # A nameless request is never one for a named object.
        if self.names and asked.name not in self.names:
            return False
        return (self.any_group or asked.group in self.groups) and self.has_resource(
            asked.combined, asked.subresource
        )

    def has_resource(self, combined: str, subresource: str) -> bool:
        """Whether it means a resource; `pods` does not mean `pods/log`, `*/log` does."""
        if self.any_resource or combined in self.resources:
            return True
        return bool(subresource) and f"*/{subresource}" in self.resources

    def _has_path(self, path: str) -> bool:
        if ANY in self.urls or path in self.urls:
            return True
        return bool(self.prefixes) and path.startswith(self.prefixes)


def spell(rule: PolicyRule) -> str:
    """A rule in a line: `get,list pods,services.apps [a,b]`."""
    verbs = ",".join(rule.verbs)
    if rule.non_resource_urls:
        return f"{verbs} {','.join(rule.non_resource_urls)}"
    what = ",".join(
        f"{resource}.{group}" if group else resource
        for group in rule.api_groups
        for resource in rule.resources
    )
    names = f" [{','.join(rule.resource_names)}]" if rule.resource_names else ""
    return f"{verbs} {what}{names}"


def atoms(rule: PolicyRule) -> Iterator[PolicyRule]:
    """The rule taken apart: one verb on one resource of one group (and name), or on one URL."""
    for verb in rule.verbs:
        for group in rule.api_groups:
            for resource in rule.resources:
                for name in rule.resource_names or ("",):
                    names = (name,) if name else ()
                    yield PolicyRule(
                        verbs=(verb,),
                        api_groups=(group,),
                        resources=(resource,),
                        resource_names=names,
                    )
        for url in rule.non_resource_urls:
            yield PolicyRule(verbs=(verb,), non_resource_urls=(url,))


def uncovered(owned: Iterable[PolicyRule], wanted: Iterable[PolicyRule]) -> tuple[PolicyRule, ...]:
    """What is wanted and not owned: each atom must be covered by one owned rule alone."""
    owners = tuple(owned)
    parts = (atom for rule in wanted for atom in atoms(rule))
    return tuple(atom for atom in parts if not any(_covers(owner, atom) for owner in owners))


def _covers(owner: PolicyRule, atom: PolicyRule) -> bool:
    if not _has_all(owner.verbs, atom.verbs):
        return False
    if atom.non_resource_urls:
        return all(_url_covered(owner.non_resource_urls, url) for url in atom.non_resource_urls)
    return (
        _has_all(owner.api_groups, atom.api_groups)
        and all(_resource_covered(owner.resources, each) for each in atom.resources)
        and _names_cover(owner.resource_names, atom.resource_names)
    )


def _has_all(owned: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    return ANY in owned or set(wanted) <= set(owned)


def _resource_covered(owned: tuple[str, ...], resource: str) -> bool:
    if ANY in owned or resource in owned:
        return True
    _, slash, subresource = resource.partition("/")
    return bool(slash) and f"*/{subresource}" in owned


def _names_cover(owned: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    if not owned:
        return True
    return bool(wanted) and set(wanted) <= set(owned)


def _url_covered(owned: tuple[str, ...], url: str) -> bool:
    return any(
        each == url or (each.endswith(ANY) and url.startswith(each.rstrip(ANY))) for each in owned
    )


def merged(rules: Iterable[PolicyRule]) -> tuple[PolicyRule, ...]:
    """Rules that differ in their verbs alone made one, in a fixed order."""
    verbs: dict[PolicyRule, set[str]] = {}
    for rule in rules:
        target = msgspec.structs.replace(rule, verbs=())
        verbs.setdefault(target, set()).update(rule.verbs)
    found = [
        msgspec.structs.replace(target, verbs=tuple(sorted(each))) for target, each in verbs.items()
    ]
    return tuple(sorted(found, key=spell))
