"""The RBAC authorizer over stored roles and bindings, indexed by subject. Pure.

The API server walks every ClusterRoleBinding and then every RoleBinding of the namespace for each
request; here a subject leads straight to its own grants. The answers are the same, save that the
first of several allowing bindings is not defined on either side.
"""

from collections.abc import Iterable, Iterator

from shipkeeper.access.attributes import (
    Attributes,
    User,
    service_account_name,
    split_service_account,
)
from shipkeeper.access.decision import NO_OPINION, Decision, Opinion
from shipkeeper.access.rule import Compiled, spell
from shipkeeper.model.rbac import GROUP, Binding, Role, Subject

RoleKey = tuple[str, str]


class Grant:
    """One binding, and the rules of its role; a role that is missing has none.

    `line` is the number of the ABAC line that it stands for, 0 for a binding that there is.
    """

    __slots__ = ("binding", "is_missing", "line", "rules")

    def __init__(
        self, binding: Binding, rules: tuple[Compiled, ...], *, is_missing: bool, line: int = 0
    ) -> None:
        self.binding = binding
        self.rules = rules
        self.is_missing = is_missing
        self.line = line

    @property
    def namespace(self) -> str:
        """Where it counts; empty is everywhere."""
        return self.binding.namespace

    @property
    def role(self) -> str:
        """The role, as it is spoken of."""
        ref = self.binding.role_ref
        where = f"{self.binding.namespace}/" if ref.kind == "Role" else ""
        return f"{ref.kind.lower()}/{where}{ref.name}"

    def allowing(self, asked: Attributes) -> Compiled | None:
        """The first rule that allows what is asked."""
        for rule in self.rules:
            if rule.allows(asked):
                return rule
        return None


class _Bundle:
    """What one subject is granted in one place, by verb: most rules need not be looked at."""

    __slots__ = ("any_verb", "by_verb", "grants", "missing")

    def __init__(self, grants: list[Grant]) -> None:
        self.grants = grants
        self.missing = [grant for grant in grants if grant.is_missing]
        self.by_verb: dict[str, list[tuple[Compiled, Grant]]] = {}
        self.any_verb: list[tuple[Compiled, Grant]] = []
        for grant in grants:
            for rule in grant.rules:
                if rule.any_verb:
                    self.any_verb.append((rule, grant))
                for verb in rule.verbs:
                    self.by_verb.setdefault(verb, []).append((rule, grant))

    def allowing(self, asked: Attributes) -> tuple[Compiled, Grant] | None:
        """The first rule that allows what is asked, and the grant that it is of."""
        for candidates in (self.by_verb.get(asked.verb, ()), self.any_verb):
            for found in candidates:
                if found[0].allows(asked):
                    return found
        return None


class _Scoped:
    """The grants of one subject by the namespace where they count; bundled when first asked."""

    __slots__ = ("_bundles", "places")

    def __init__(self) -> None:
        self.places: dict[str, list[Grant]] = {}
        self._bundles: dict[str, _Bundle] = {}

    def bundle(self, namespace: str) -> _Bundle | None:
        """What counts in one place."""
        found = self._bundles.get(namespace)
        if found is None and namespace in self.places:
            found = self._bundles[namespace] = _Bundle(self.places[namespace])
        return found


class Rbac:
    """Who is granted what."""

    def __init__(self, roles: Iterable[Role], bindings: Iterable[Binding]) -> None:
        self.roles: dict[RoleKey, Role] = {(role.namespace, role.name): role for role in roles}
        compiled = {
            key: tuple(Compiled(rule) for rule in role.rules or ())
            for key, role in self.roles.items()
        }
        self.grants: list[Grant] = []
        self._by_user: dict[str, _Scoped] = {}
        self._by_group: dict[str, _Scoped] = {}
        for binding in bindings:
            key = binding.role_key
            grant = Grant(binding, compiled.get(key, ()), is_missing=key not in self.roles)
            self.grants.append(grant)
            self._index(grant)

    def _index(self, grant: Grant) -> None:
        for subject in grant.binding.subjects or ():
            found = subject_name(subject, grant.namespace)
            if found is not None:
                is_group, name = found
                index = self._by_group if is_group else self._by_user
                scoped = index.setdefault(name, _Scoped())
                scoped.places.setdefault(grant.namespace, []).append(grant)

    def authorize(self, asked: Attributes) -> Opinion:
        """Allow if a rule of a role that is bound to somebody allows it, else no opinion."""
        missing: list[Grant] = []
        scoped = self._scoped(asked.user)
        for namespace in ("", asked.namespace) if asked.namespace else ("",):
            for each in scoped:
                bundle = each.bundle(namespace)
                if bundle is None:
                    continue
                found = bundle.allowing(asked)
                if found is not None:
                    return _allowed(*found)
                missing += bundle.missing
        return _unanswered(missing) if missing else NO_OPINION

    def _scoped(self, user: User) -> list[_Scoped]:
        found = [self._by_group[group] for group in user.groups if group in self._by_group]
        if user.name in self._by_user:
            found.append(self._by_user[user.name])
        return found

    def every_grant_of(self, user: User) -> Iterator[Grant]:
        """What somebody is granted anywhere."""
        seen: set[int] = set()
        for each in self._scoped(user):
            for grants in each.places.values():
                for grant in grants:
                    if id(grant) not in seen:
                        seen.add(id(grant))
                        yield grant


def subject_name(subject: Subject, namespace: str) -> tuple[bool, str] | None:
    """Whether a subject is a group, and the user's or group's name; None if it means nobody.

    A ServiceAccount without a namespace is of the binding's own.
    """
    match subject.kind:
        case "User":
            return False, subject.name
        case "Group":
            return True, subject.name
        case "ServiceAccount":
            where = subject.namespace or namespace
            return (False, service_account_name(where, subject.name)) if where else None
        case _:
            return None


def identity(subject: Subject, namespace: str) -> tuple[str, str] | None:
    """Kind and full name of whom a subject means; a ServiceAccount is one, however it is named."""
    named = subject_name(subject, namespace)
    if named is None:
        return None
    is_group, name = named
    if is_group:
        return "Group", name
    return ("ServiceAccount" if split_service_account(name) else "User"), name


def _allowed(rule: Compiled, grant: Grant) -> Opinion:
    by = f"{grant.binding.label} grants {grant.role}"
    return Opinion(Decision.ALLOW, f"RBAC: allowed by {by}", "", spell(rule.rule))


def _unanswered(missing: list[Grant]) -> Opinion:
    names = list(dict.fromkeys(_not_found(grant) for grant in missing))
    said = names[0] if len(names) == 1 else f"[{', '.join(names)}]"
    return Opinion(Decision.NO_OPINION, f"RBAC: {said}")


def _not_found(grant: Grant) -> str:
    ref = grant.binding.role_ref
    return f'{ref.kind.lower()}.{GROUP} "{ref.name}" not found'
