"""Disorder among roles and bindings: not a way to more power yet, or one to be. Pure."""

from collections.abc import Iterator

from shipkeeper.access.attributes import (
    ANONYMOUS,
    AUTHENTICATED,
    SERVICE_ACCOUNTS,
    UNAUTHENTICATED,
)
from shipkeeper.access.policy import Policy
from shipkeeper.access.rbac import RoleKey
from shipkeeper.access.rule import spell
from shipkeeper.engine.finding import Finding, Severity
from shipkeeper.model.rbac import Binding, Role

_BOOTSTRAP = "kubernetes.io/bootstrapping"
_EVERYBODY = frozenset({AUTHENTICATED, UNAUTHENTICATED, SERVICE_ACCOUNTS, ANONYMOUS})
_TOKEN_TYPE = "kubernetes.io/service-account-token"  # noqa: S105


def disorder(policy: Policy) -> Iterator[Finding]:
    """Dangling bindings, unused roles, grants to everybody, legacy tokens, joined aggregates."""
    roles: dict[RoleKey, Role] = {(role.namespace, role.name): role for role in policy.roles}
    are_roles_known = not (policy.lacks("Role") or policy.lacks("ClusterRole"))
    own = [each for each in policy.bindings if _BOOTSTRAP not in each.metadata.labels]
    for binding in own:
        yield from _dangling(policy, binding, roles, are_roles_known=are_roles_known)
        yield from _for_everybody(binding, roles)
    if not (policy.lacks("RoleBinding") or policy.lacks("ClusterRoleBinding")):
        yield from _unused(policy, roles)
    yield from _joined(policy, roles)
    yield from _legacy_tokens(policy)


def _dangling(
    policy: Policy, binding: Binding, roles: dict[RoleKey, Role], *, are_roles_known: bool
) -> Iterator[Finding]:
    if are_roles_known and binding.role_key not in roles:
        yield _finding(
            "dangling-role",
            "A binding to a role that is not there",
            Severity.MEDIUM,
            binding.label,
            f"whoever may create {binding.role_ref.kind} {binding.role_ref.name} decides what it"
            " grants",
            f"delete {binding.label}",
        )
    accounts = {account.key for account in policy.of_kind("ServiceAccount")}
    if policy.lacks("ServiceAccount") or not accounts:
        return
    for subject in binding.subjects or ():
        key = f"{subject.namespace or binding.namespace}/{subject.name}"
        if subject.kind == "ServiceAccount" and key not in accounts:
            yield _finding(
                "path-20",
                "A binding to a ServiceAccount that is not there",
                Severity.MEDIUM,
                binding.label,
                f"whoever may create ServiceAccount {key} gets what it grants",
                f"take it out of {binding.label}",
            )


def _for_everybody(binding: Binding, roles: dict[RoleKey, Role]) -> Iterator[Finding]:
    role = roles.get(binding.role_key)
    what = "; ".join(spell(rule) for rule in role.rules or ()) if role else "a missing role"
    for subject in binding.subjects or ():
        if subject.name in _EVERYBODY and what:
            is_open = subject.name in (UNAUTHENTICATED, ANONYMOUS)
            yield _finding(
                "path-20",
                "A grant to everybody",
                Severity.HIGH if is_open else Severity.MEDIUM,
                binding.label,
                f"{subject.name} may: {what}",
                f"name who is meant in {binding.label}",
            )


def _unused(policy: Policy, roles: dict[RoleKey, Role]) -> Iterator[Finding]:
    used = {binding.role_key for binding in policy.bindings}
    for key, role in sorted(roles.items()):
        is_part = any(label.startswith(_AGGREGATE) for label in role.metadata.labels)
        if key not in used and not is_part and _BOOTSTRAP not in role.metadata.labels:
            yield _finding(
                "unused-role",
                "A role that nobody is bound to",
                Severity.LOW,
                f"{role.kind.lower()}/{role.key}",
                "it waits to be bound to somebody",
                "delete it",
            )


_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"


def _joined(policy: Policy, roles: dict[RoleKey, Role]) -> Iterator[Finding]:
    """15: a ClusterRole whose labels add it to an aggregated one, which others hold."""
    for role in policy.roles:
        if role.namespace or _BOOTSTRAP in role.metadata.labels or not role.rules:
            continue
        for whole in roles.values():
            rule = whole.aggregation_rule
            if rule and any(s.matches(role.metadata.labels) for s in rule.cluster_role_selectors):
                yield _finding(
                    "path-15",
                    "A ClusterRole that adds to another by its labels",
                    Severity.MEDIUM,
                    f"clusterrole/{role.name}",
                    f"whoever has ClusterRole {whole.name} has as well: "
                    + "; ".join(spell(each) for each in role.rules),
                    "take the label off unless that is meant",
                )


def _legacy_tokens(policy: Policy) -> Iterator[Finding]:
    for secret in policy.of_kind("Secret"):
        if secret.type == _TOKEN_TYPE and secret.namespace != "kube-system":
            yield _finding(
                "legacy-token",
                "A token that never ends, in a Secret",
                Severity.MEDIUM,
                f"secret/{secret.key}",
                "whoever reads it is that ServiceAccount for good",
                "use tokens of the TokenRequest API, then delete it",
            )


def _finding(
    rule: str, title: str, severity: Severity, target: str, message: str, remedy: str
) -> Finding:
    return Finding(
        rule=rule,
        title=title,
        severity=severity,
        target=target,
        message=message,
        remedy=remedy,
    )
