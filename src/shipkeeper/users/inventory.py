"""Who gets in: every identity, where it comes from, what it may reach, and how it ends. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from enum import StrEnum

import msgspec

from shipkeeper.access.attributes import (
    ANONYMOUS,
    AUTHENTICATED,
    MASTERS,
    NODES,
    SERVICE_ACCOUNTS,
    UNAUTHENTICATED,
    User,
    authenticated,
    service_account,
)
from shipkeeper.access.certs.certificate import Certificate
from shipkeeper.access.matrix import bound_subjects
from shipkeeper.access.policy import Policy
from shipkeeper.access.rbac import Grant, Rbac
from shipkeeper.access.rule import spell
from shipkeeper.engine.finding import Unchecked
from shipkeeper.model.meta import KubeObject
from shipkeeper.users.bootstrap_tokens import TYPE as BOOTSTRAP
from shipkeeper.users.bootstrap_tokens import expiry, groups
from shipkeeper.users.objects import SecretData
from shipkeeper.users.token_file import Row

TOKEN_TYPE = "kubernetes.io/service-account-token"  # noqa: S105
_ACCOUNT = "kubernetes.io/service-account.name"
# What everybody has who is somebody: said once, and not of each.
_IMPLICIT = frozenset({AUTHENTICATED, SERVICE_ACCOUNTS})
_BOOTSTRAPPERS = "system:bootstrappers"


class How(StrEnum):
    """What somebody proves by who they are."""

    CERTIFICATE = "certificate"
    SERVICE_ACCOUNT = "serviceaccount"
    TOKEN = "token"  # noqa: S105
    BOOTSTRAP = "bootstrap-token"
    UNKNOWN = "unknown"


class Identity(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Somebody who gets in, or is meant by a binding; `ends` None means never, or not known."""

    name: str
    how: How
    groups: tuple[str, ...] = ()
    origin: str
    reach: tuple[str, ...] = ()
    ends: datetime | None = None
    is_revocable: bool = True
    revocation: str = ""


class Anonymous(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What may be done without saying who one is; answers are those to requests just made."""

    is_let_in: bool | None = None
    answers: dict[str, int] = {}
    rules: tuple[str, ...] = ()


class Inventory(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Every identity that could be seen, what anybody may do, and what could not be looked at."""

    items: tuple[Identity, ...]
    anonymous: Anonymous
    everybody: tuple[str, ...]
    unchecked: tuple[Unchecked, ...] = ()


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A client certificate that was seen somewhere."""

    certificate: Certificate
    origin: str


class HeldRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a token file; its token never left the host."""

    row: Row
    origin: str


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """What identities are read from."""

    policy: Policy
    certificates: tuple[Held, ...] = ()
    accounts: tuple[KubeObject, ...] = ()
    secrets: tuple[SecretData, ...] = ()
    rows: tuple[HeldRow, ...] = ()
    answers: dict[str, int] = {}
    unchecked: tuple[Unchecked, ...] = ()


def take_inventory(found: Sources) -> Inventory:
    """All identities, the mighty first of each kind."""
    rbac = Rbac(found.policy.roles, found.policy.bindings)
    known = [
        *_certificates(found.certificates),
        *_accounts(found),
        *_rows(found.rows),
        *_bootstrap(found.secrets),
    ]
    items = [_with_reach(each, rbac) for each in (*known, *_bound(found.policy, known))]
    anonymous = User(name=ANONYMOUS, groups=(UNAUTHENTICATED,))
    refused = {status == 401 for status in found.answers.values()}
    return Inventory(
        items=tuple(sorted(items, key=lambda each: (each.how, each.name, each.origin))),
        anonymous=Anonymous(
            is_let_in=not refused.pop() if len(refused) == 1 else None,
            answers=found.answers,
            rules=tuple(_rules(rbac.every_grant_of(anonymous))),
        ),
        everybody=tuple(_rules(rbac.every_grant_of(User(groups=(AUTHENTICATED,))))),
        unchecked=found.unchecked,
    )


def _certificates(held: Iterable[Held]) -> Iterator[Identity]:
    """One for each certificate, wherever it lies."""
    by_print: dict[str, list[Held]] = {}
    for each in held:
        by_print.setdefault(each.certificate.fingerprint, []).append(each)
    for same in by_print.values():
        certificate = same[0].certificate
        yield Identity(
            name=certificate.common_name,
            how=How.CERTIFICATE,
            groups=certificate.organizations,
            origin=", ".join(each.origin for each in same),
            ends=certificate.not_after,
            is_revocable=False,
            revocation=_of_certificate(certificate),
        )


def _of_certificate(certificate: Certificate) -> str:
    if MASTERS in certificate.organizations:
        return f"no: {MASTERS} is asked no authorizer; replace the CA (certs rotate-ca kubernetes)"
    if NODES in certificate.organizations:
        return "no: delete its Node, or replace the CA (certs rotate-ca kubernetes)"
    return (
        "no: take its bindings away (users revoke --how certificate), "
        "or replace the CA (certs rotate-ca kubernetes)"
    )


def _accounts(found: Sources) -> Iterator[Identity]:
    lasting: dict[str, list[str]] = {}
    for secret in found.secrets:
        if secret.type == TOKEN_TYPE:
            account = secret.metadata.annotations.get(_ACCOUNT, "")
            lasting.setdefault(f"{secret.namespace}/{account}", []).append(secret.name)
    for each in found.accounts:
        user = service_account(each.namespace, each.name)
        secrets = sorted(lasting.get(each.key, ()))
        more = f"; tokens that never end: Secret {', '.join(secrets)}" if secrets else ""
        yield Identity(
            name=user.name,
            how=How.SERVICE_ACCOUNT,
            groups=tuple(group for group in user.groups if group not in _IMPLICIT),
            origin=f"ServiceAccount {each.key}{more}",
            revocation=f"delete Secret {', '.join(secrets)}"
            if secrets
            else f"users revoke {each.name} --how serviceaccount -n {each.namespace}",
        )


def _rows(rows: Iterable[HeldRow]) -> Iterator[Identity]:
    for each in rows:
        yield Identity(
            name=each.row.user,
            how=How.TOKEN,
            groups=each.row.groups,
            origin=f"{each.origin} line {each.row.line}",
            revocation="take the row out, and restart every API server",
        )


def _bootstrap(secrets: Iterable[SecretData]) -> Iterator[Identity]:
    for secret in secrets:
        if secret.type != BOOTSTRAP:
            continue
        try:
            ends = expiry(secret)
        except ValueError:
            # An API server takes such a token for one that has ended; `users lint` finds it.
            continue
        yield Identity(
            name=f"system:bootstrap:{secret.name.removeprefix('bootstrap-token-')}",
            how=How.BOOTSTRAP,
            groups=(_BOOTSTRAPPERS, *groups(secret)),
            origin=f"Secret {secret.key}",
            ends=ends,
            revocation=f"kubectl -n {secret.namespace} delete secret {secret.name}",
        )


def _bound(policy: Policy, known: Iterable[Identity]) -> Iterator[Identity]:
    """Whom bindings mean, and nobody was seen to be: they come from a directory, or not at all."""
    users = {each.name for each in known}
    implied = {group for each in known for group in each.groups} | _IMPLICIT
    for kind, name in bound_subjects(policy):
        is_group = kind == "Group"
        is_seen = name in (implied if is_group else users)
        if is_seen or name in (ANONYMOUS, UNAUTHENTICATED):
            continue
        named = [
            each.label
            for each in policy.bindings
            if any(
                subject.name == name.rpartition(":")[2] or subject.name == name
                for subject in each.subjects or ()
            )
        ]
        yield Identity(
            name="" if is_group else name,
            how=How.UNKNOWN,
            groups=(name,) if is_group else (),
            origin=", ".join(named),
            revocation="where it comes from (a directory, another issuer); or take its bindings "
            "away",
        )


def _with_reach(identity: Identity, rbac: Rbac) -> Identity:
    if MASTERS in identity.groups:
        return msgspec.structs.replace(identity, reach=(f"everything ({MASTERS})",))
    user = authenticated(identity.name or "somebody", identity.groups)
    own = User(name=user.name, groups=tuple(each for each in user.groups if each not in _IMPLICIT))
    roles = [_role(grant) for grant in rbac.every_grant_of(own)]
    node = ("what its node needs (Node)",) if NODES in identity.groups else ()
    return msgspec.structs.replace(identity, reach=(*node, *dict.fromkeys(roles)))


def _role(grant: Grant) -> str:
    return f"{grant.role} in {grant.namespace}" if grant.namespace else grant.role


def _rules(grants: Iterable[Grant]) -> Iterator[str]:
    for grant in grants:
        where = f" in {grant.namespace}" if grant.namespace else ""
        for rule in grant.rules:
            yield f"{spell(rule.rule)}{where} ({grant.binding.label})"
