"""An ABAC policy as RBAC, line by line, with a proof that both say the same. Pure.

RBAC cannot say all that ABAC does; what it cannot is told and left out, never made broader.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from shipkeeper.access.abac import ANY, READS, Abac, AbacLine
from shipkeeper.access.assembly import from_manifests
from shipkeeper.access.attributes import Attributes, User, split_service_account
from shipkeeper.access.rbac import Rbac
from shipkeeper.access.subresources import subresources
from shipkeeper.access.words import CLUSTER_SCOPED
from shipkeeper.model.rbac import GROUP

Manifest = dict[str, Any]
_FRESH = "anything-else"


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A line, or a part of it, that RBAC cannot say."""

    line: int
    why: str
    is_left_out: bool
    """Whether the whole line is left out, and not just its unserved subresources."""


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """How many requests were compared, every atom with every other, and where answers differ."""

    requests: int
    differences: tuple[str, ...] = ()


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """The roles and bindings, what they lack, and the proof that they lack nothing else."""

    manifests: tuple[Manifest, ...]
    gaps: tuple[Gap, ...]
    proof: Proof


def convert(abac: Abac) -> Conversion:
    """Make RBAC of a policy; the proof compares it with the lines that are not left out."""
    gaps = tuple(gap for line in abac.lines for gap in _gaps(line))
    left_out = {gap.line for gap in gaps if gap.is_left_out}
    kept = [line for line in abac.lines if line.number not in left_out]
    manifests = tuple(_manifests(kept))
    return Conversion(manifests=manifests, gaps=gaps, proof=prove(kept, manifests))


def _gaps(line: AbacLine) -> Iterator[Gap]:
    why = _inexpressible(line)
    if why:
        yield Gap(line=line.number, why=why, is_left_out=True)
    elif line.resource not in ("", ANY):
        why = f"it takes any subresource of {line.resource}; RBAC gets those that are served"
        yield Gap(line=line.number, why=why, is_left_out=False)


def _inexpressible(line: AbacLine) -> str:
    if not (line.user or line.group):
        return "it means nobody"
    if line.user and line.group:
        return f"it takes user {line.user} only in group {line.group}; RBAC has no such and"
    if not line.resource and not line.non_resource_path:
        return "it is about no resource and no URL"
    if line.resource and not line.namespace and line.resource not in CLUSTER_SCOPED:
        return "it is for requests without a namespace alone; RBAC would add every namespace"
    if line.resource == "namespaces" and not line.namespace:
        return "a request for one namespace is in it, for which it is not; RBAC would add that"
    return ""


def _manifests(lines: Iterable[AbacLine]) -> Iterator[Manifest]:
    for line in lines:
        namespace = "" if line.namespace == ANY else line.namespace
        if line.resource:
            yield from _granted(line, namespace, "", [_resource_rule(line)])
        if line.non_resource_path:
            rule = {"verbs": _verbs(line), "nonResourceURLs": [line.non_resource_path]}
            yield from _granted(line, "", "-url", [rule])


def _granted(
    line: AbacLine, namespace: str, suffix: str, rules: list[dict[str, Any]]
) -> Iterator[Manifest]:
    kind = "Role" if namespace else "ClusterRole"
    name = f"abac-line-{line.number}{suffix}"
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    head = {"apiVersion": f"{GROUP}/v1"}
    yield {**head, "kind": kind, "metadata": metadata, "rules": rules}
    reference = {"apiGroup": GROUP, "kind": kind, "name": name}
    yield {
        **head,
        "kind": f"{kind}Binding",
        "metadata": metadata,
        "roleRef": reference,
        "subjects": [_subject(line)],
    }


def _subject(line: AbacLine) -> Manifest:
    account = split_service_account(line.user)
    if account:
        return {"kind": "ServiceAccount", "namespace": account[0], "name": account[1]}
    kind, name = ("User", line.user) if line.user else ("Group", line.group)
    return {"apiGroup": GROUP, "kind": kind, "name": name}


def _verbs(line: AbacLine) -> list[str]:
    return sorted(READS) if line.readonly else [ANY]


def _resource_rule(line: AbacLine) -> dict[str, Any]:
    resources = [line.resource]
    if line.resource != ANY:
        served = subresources(line.api_group, line.resource)
        resources += [f"{line.resource}/{each}" for each in served]
    return {"verbs": _verbs(line), "apiGroups": [line.api_group], "resources": resources}


def prove(lines: Iterable[AbacLine], manifests: Iterable[Manifest]) -> Proof:
    """Ask both everything that the atoms of the policy can make a difference to.

    Each authorizer allows if one line, or one binding, of one subject does: so subjects are proven
    one by one, each with every verb, group, resource, served subresource, namespace and URL that
    any of its lines names, and with one that none does.
    """
    every = tuple(lines)
    abac = Abac(every)
    policy = from_manifests(manifests, source="conversion")
    rbac = Rbac(policy.roles, policy.bindings)
    count = 0
    differences: list[str] = []
    for user in _users(every):
        own = [line for line in every if line.is_for(user)]
        for asked in _requests(user, own):
            count += 1
            if abac.authorize(asked).decision != rbac.authorize(asked).decision:
                differences.append(f"{user.name or user.groups[0]}: {asked}")
    return Proof(requests=count, differences=tuple(differences))


def _users(lines: Iterable[AbacLine]) -> list[User]:
    """Each subject alone, and somebody who is none of them."""
    found = sorted({(line.user, line.group) for line in lines})
    return [
        *(User(name=user, groups=(group,) if group else ()) for user, group in found),
        User(name=_FRESH),
    ]


def _requests(user: User, lines: list[AbacLine]) -> Iterator[Attributes]:
    verbs = (*sorted(READS), "create", _FRESH)
    groups = {line.api_group for line in lines} - {ANY} | {"", _FRESH}
    resources = {line.resource for line in lines} - {ANY, ""} | {"pods", _FRESH}
    spaces = {line.namespace for line in lines} - {ANY} | {"", _FRESH}
    for verb, group, resource in itertools.product(verbs, sorted(groups), sorted(resources)):
        # A cluster-scoped resource is never asked for in a namespace.
        where = {""} if resource in CLUSTER_SCOPED - {"namespaces"} else spaces
        for namespace in sorted(where):
            for subresource in ("", *subresources(ANY, resource)):
                if subresource and subresource not in subresources(group, resource):
                    continue
                yield Attributes(
                    user=user,
                    verb=verb,
                    group=group,
                    resource=resource,
                    subresource=subresource,
                    namespace=namespace,
                )
    for verb, path in itertools.product(verbs, sorted(_paths(lines))):
        yield Attributes(user=user, verb=verb, path=path, resource_request=False)


def _paths(lines: Iterable[AbacLine]) -> set[str]:
    """Each pattern as it stands, what it begins with, and what only almost fits it."""
    found = {"/", f"/{_FRESH}"}
    for line in lines:
        stem = line.non_resource_path.rstrip(ANY)
        if stem:
            found |= {stem, f"{stem}x", stem[:-1], line.non_resource_path}
    return found - {""}
