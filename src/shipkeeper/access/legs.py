"""The way from somebody to a yes, leg by leg: as whom, by which binding, role and rule. Pure."""

from collections.abc import Iterator

import msgspec

from shipkeeper.access.attributes import Attributes
from shipkeeper.access.chain import Chain
from shipkeeper.access.rbac import Grant, subject_name
from shipkeeper.access.rule import spell


class Leg(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One stop on the way; `kind` is User, Group, Authorizer, Binding, Role, Rule or Request."""

    kind: str
    name: str
    detail: str = ""


def legs(chain: Chain, asked: Attributes) -> tuple[Leg, ...]:
    """The way that a request is allowed by, from whoever asks to what is asked; empty on a no."""
    answer = chain.answer(asked)
    if not answer.allowed:
        return ()
    by = Leg(kind="Authorizer", name=answer.authorizer)
    end = Leg(kind="Request", name=str(asked))
    if answer.authorizer.casefold() == "rbac":
        for grant in chain.rbac.every_grant_of(asked.user) if chain.rbac else ():
            found = tuple(_by_grant(grant, asked))
            if found:
                return (*_as_whom(grant, asked), by, *found, end)
    begin = Leg(kind="User", name=asked.user.name)
    return (begin, by, Leg(kind="Rule", name=answer.rule or answer.reason), end)


def _by_grant(grant: Grant, asked: Attributes) -> Iterator[Leg]:
    """Binding, role and rule; nothing if they do not allow it."""
    if grant.namespace not in ("", asked.namespace):
        return
    rule = grant.allowing(asked)
    if rule is None:
        return
    where = f"in namespace {grant.namespace}" if grant.namespace else "in every namespace"
    yield Leg(kind="Binding", name=grant.binding.label, detail=where)
    yield Leg(kind="Role", name=grant.role)
    yield Leg(kind="Rule", name=spell(rule.rule))


def _as_whom(grant: Grant, asked: Attributes) -> tuple[Leg, ...]:
    """The user, and the group of theirs that is meant if it is not they by name."""
    found = [subject_name(each, grant.namespace) for each in grant.binding.subjects or ()]
    user = Leg(kind="User", name=asked.user.name)
    if (False, asked.user.name) in found:
        return (user,)
    groups = [each[1] for each in found if each and each[0] and each[1] in asked.user.groups]
    return (user, Leg(kind="Group", name=groups[0]))
