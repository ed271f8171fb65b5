"""Least-privilege roles for what was needed, and what is granted beyond it. Pure."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from shipkeeper.access.attributes import (
    Attributes,
    User,
    implicit_groups,
    split_service_account,
)
from shipkeeper.access.chain import Chain
from shipkeeper.access.rbac import Grant
from shipkeeper.access.rule import spell
from shipkeeper.model.rbac import GROUP, PolicyRule

Manifest = dict[str, Any]
_CERTIFICATES = "certificates.k8s.io"
_NOT_FOR_NAMES = re.compile(r"[^a-z0-9.-]+")


class Need(msgspec.Struct, frozen=True):
    """One thing that was needed, in one namespace or (empty) cluster-wide."""

    namespace: str
    verb: str
    group: str
    resource: str
    name: str = ""
    path: str = ""


class Suggestion(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Roles and bindings for one subject; `unused` is granted now and was never needed.

    `given` counts the needs that everybody's groups give already; `besides` is what the log does
    not tell and the server asks for.
    """

    subject: str
    manifests: tuple[Manifest, ...]
    unused: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    given: int = 0
    besides: tuple[str, ...] = ()


class Needs:
    """What each subject needed, gathered from any number of requests."""

    def __init__(self, *, with_names: bool = False) -> None:
        self._with_names = with_names
        self.by_subject: dict[str, dict[Need, Attributes]] = {}

    def add(self, asked: Attributes) -> None:
        """Remember one request; the same again costs nothing."""
        need = Need(
            namespace=asked.namespace,
            verb=asked.verb,
            group=asked.group,
            resource=asked.combined if asked.resource_request else "",
            # To act as one user is never to act as any.
            name=asked.name if self._with_names or is_impersonation(asked) else "",
            path=asked.path,
        )
        self.by_subject.setdefault(asked.user.name, {}).setdefault(need, asked)

    def suggest(self, subject: str, chain: Chain | None = None) -> Suggestion:
        """The least that lets a subject do again what it did, beside what is there now."""
        needs = self.by_subject.get(subject, {})
        own = {need: asked for need, asked in needs.items() if not _is_given(asked, chain)}
        kept = _needed_apart(own)
        manifests = tuple(_manifests(subject, kept))
        return Suggestion(
            subject=subject,
            manifests=manifests,
            unused=tuple(_unused(subject, needs.values(), chain)),
            missing=tuple(str(asked) for asked in own.values() if _is_missing(asked, chain)),
            given=len(needs) - len(own),
            besides=tuple(dict.fromkeys(filter(None, map(_besides, own.values())))),
        )


def is_impersonation(asked: Attributes) -> bool:
    """Whether it is about acting as somebody, and not about what is done then."""
    return asked.verb == "impersonate" or asked.verb.startswith("impersonate:")


# What the server asks for besides, where a request does more than it says.
_BESIDES = {
    (GROUP, "roles"): "to write Roles again it takes `escalate`, or all that they allow",
    (GROUP, "clusterroles"): "to write ClusterRoles again it takes `escalate`, or all they allow",
    (GROUP, "rolebindings"): "to write RoleBindings again it takes `bind`, or all they grant",
    (
        GROUP,
        "clusterrolebindings",
    ): "to write ClusterRoleBindings again it takes `bind`, or all they grant",
    (_CERTIFICATES, "certificatesigningrequests/approval"): "to approve again it takes `approve` on"
    " the signer",
    (_CERTIFICATES, "certificatesigningrequests/status"): "to sign again it takes `sign` on the"
    " signer",
}


def _besides(asked: Attributes) -> str:
    if asked.verb not in ("create", "update", "patch"):
        return ""
    return _BESIDES.get((asked.group, asked.combined), "")


def _is_given(asked: Attributes, chain: Chain | None) -> bool:
    """Whether the groups that everybody of its kind is in allow it anyway."""
    if chain is None:
        return False
    # A group that authentication found (an organization, a team) is what it has, and not given.
    groups = tuple(each for each in asked.user.groups if each in implicit_groups(asked.user.name))
    return chain.allows(msgspec.structs.replace(asked, user=User(groups=groups)))


def _is_missing(asked: Attributes, chain: Chain | None) -> bool:
    return chain is not None and not chain.allows(asked)


def _needed_apart(needs: Iterable[Need]) -> set[Need]:
    """Without what another need covers: the same cluster-wide, or for every name."""
    found = set(needs)

    def is_covered(need: Need) -> bool:
        wider = {
            msgspec.structs.replace(need, namespace=namespace, name=name)
            for namespace in ("", need.namespace)
            for name in ("", need.name)
        }
        return bool((wider - {need}) & found)

    return {need for need in found if not is_covered(need)}


def _manifests(subject: str, needs: set[Need]) -> Iterator[Manifest]:
    for namespace in sorted({need.namespace for need in needs}):
        rules = rules_for(need for need in needs if need.namespace == namespace)
        name = _NOT_FOR_NAMES.sub("-", f"suggested:{subject}".lower().replace(":", "-")).strip("-")
        kind = "Role" if namespace else "ClusterRole"
        metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
        head = {"apiVersion": f"{GROUP}/v1", "metadata": metadata}
        spelled = [msgspec.to_builtins(rule) for rule in rules]
        yield {**head, "kind": kind, "rules": spelled}
        reference = {"apiGroup": GROUP, "kind": kind, "name": name}
        yield {
            **head,
            "kind": f"{kind}Binding",
            "roleRef": reference,
            "subjects": [_subject(subject)],
        }


def rules_for(needs: Iterable[Need]) -> tuple[PolicyRule, ...]:
    """The fewest rules that say just these needs, in a fixed order."""
    verbs: dict[tuple[str, str, str, str], set[str]] = {}
    for need in needs:
        key = (need.group, need.resource, need.name, need.path)
        verbs.setdefault(key, set()).add(need.verb)
    # What has the same verbs becomes one rule: resources of a group, names, or URLs.
    together: dict[tuple[str, str, tuple[str, ...], bool], set[str]] = {}
    named: dict[tuple[str, str, tuple[str, ...]], set[str]] = {}
    for (group, resource, name, path), each in verbs.items():
        spelled = tuple(sorted(each))
        if name:
            named.setdefault((group, resource, spelled), set()).add(name)
        else:
            key = (group, "", spelled, bool(path))
            together.setdefault(key, set()).add(path or resource)
    rules = [
        _rule(group, what, spelled, is_url)
        for (group, _, spelled, is_url), what in together.items()
    ]
    rules += [
        PolicyRule(
            verbs=spelled,
            api_groups=(group,),
            resources=(resource,),
            resource_names=tuple(sorted(names)),
        )
        for (group, resource, spelled), names in named.items()
    ]
    return tuple(sorted(rules, key=spell))


def _rule(group: str, what: set[str], verbs: tuple[str, ...], is_url: bool) -> PolicyRule:
    if is_url:
        return PolicyRule(verbs=verbs, non_resource_urls=tuple(sorted(what)))
    return PolicyRule(verbs=verbs, api_groups=(group,), resources=tuple(sorted(what)))


def _subject(name: str) -> Manifest:
    account = split_service_account(name)
    if account:
        return {"kind": "ServiceAccount", "namespace": account[0], "name": account[1]}
    return {"apiGroup": GROUP, "kind": "User", "name": name}


def _unused(subject: str, asked: Iterable[Attributes], chain: Chain | None) -> Iterator[str]:
    """The rules that bindings of the subject and its own groups grant, and no request made use of.

    What everybody is granted does not count.
    """
    if chain is None or chain.rbac is None:
        return
    requests = list(asked)
    everybody = implicit_groups(subject)
    groups = dict.fromkeys(each for asked in requests for each in asked.user.groups)
    own = User(name=subject, groups=tuple(each for each in groups if each not in everybody))
    for grant in chain.rbac.every_grant_of(own):
        for rule in grant.rules:
            if not any(_counts(grant, each) and rule.allows(each) for each in requests):
                yield f"{grant.binding.label} → {grant.role}: {spell(rule.rule)}"


def _counts(grant: Grant, asked: Attributes) -> bool:
    return grant.namespace in ("", asked.namespace)
