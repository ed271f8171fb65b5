"""Why somebody may or may not: each authorizer's word, and what comes near to a yes. Pure."""

from collections.abc import Iterator

import msgspec

from shipkeeper.access.attributes import (
    MASTERS,
    Attributes,
    split_service_account,
)
from shipkeeper.access.chain import Chain
from shipkeeper.access.decision import Answer
from shipkeeper.access.policy import Policy
from shipkeeper.access.rbac import Grant, subject_name
from shipkeeper.access.rule import Compiled, spell
from shipkeeper.model.meta import ObjectMeta
from shipkeeper.model.rbac import Binding, PolicyRule, Role, RoleRef, Subject


class NearMiss(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Something that one change would turn into a yes; `role` or `binding` is the mended object."""

    what: str
    mend: str
    role: Role | None = None
    binding: Binding | None = None


class Word(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What one authorizer said."""

    authorizer: str
    decision: str
    rule: str = ""
    reason: str = ""
    error: str = ""


class Explanation(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The whole answer to one question."""

    question: str
    user: str
    groups: tuple[str, ...] = ()
    answer: Answer
    words: tuple[Word, ...] = ()
    near_misses: tuple[NearMiss, ...] = ()


def explain(chain: Chain, asked: Attributes) -> Explanation:
    """Ask every authorizer, and on a no look for what comes near to a yes."""
    answer = chain.answer(asked)
    misses = () if answer.allowed or chain.rbac is None else tuple(near_misses(chain, asked))
    return Explanation(
        question=str(asked),
        user=asked.user.name,
        groups=asked.user.groups,
        answer=answer,
        words=tuple(_words(chain, asked)),
        near_misses=misses,
    )


def _words(chain: Chain, asked: Attributes) -> Iterator[Word]:
    if MASTERS in asked.user.groups:
        return
    for config, authorizer in chain.authorizers:
        said = authorizer.authorize(asked)
        yield Word(
            authorizer=config.name,
            decision=said.decision,
            rule=said.rule,
            reason=said.reason,
            error=said.error,
        )
        if said.decision in ("Allow", "Deny"):
            return


def near_misses(chain: Chain, asked: Attributes) -> Iterator[NearMiss]:
    """What RBAC would have to say a little differently; each mend alone allows the request."""
    rbac = chain.rbac
    if rbac is None:
        return
    seen: set[str] = set()
    mine = list(rbac.every_grant_of(asked.user))
    for miss in (*_in_own_grants(chain, mine, asked), *_in_others(rbac.grants, mine, asked)):
        if miss.mend not in seen:
            seen.add(miss.mend)
            yield miss


def _in_own_grants(chain: Chain, mine: list[Grant], asked: Attributes) -> Iterator[NearMiss]:
    assert chain.rbac is not None  # noqa: S101  (checked by whoever asks)
    for grant in mine:
        counts = grant.namespace in ("", asked.namespace)
        if grant.is_missing:
            if counts:
                yield _missing_role(grant, asked)
            continue
        rule = grant.allowing(asked)
        if rule is not None:
            # It would have counted if it were not for the namespace.
            yield _wrong_place(grant, asked)
        elif counts:
            role = chain.rbac.roles[grant.binding.role_key]
            for index, compiled in enumerate(grant.rules):
                yield from _wrong_rule(grant, role, index, compiled, asked)


def _missing_role(grant: Grant, asked: Attributes) -> NearMiss:
    role = Role(
        metadata=ObjectMeta(name=grant.binding.role_ref.name, namespace=grant.binding.role_key[0]),
        rules=(_just(asked),),
    )
    return NearMiss(
        what=f"{grant.binding.label} grants {grant.role}, which does not exist",
        mend=f"create {grant.role} with a rule that allows it",
        role=role,
    )


def _wrong_place(grant: Grant, asked: Attributes) -> NearMiss:
    where = f"namespace {asked.namespace}" if asked.namespace else "the whole cluster"
    binding = msgspec.structs.replace(
        grant.binding,
        metadata=ObjectMeta(name=grant.binding.name, namespace=asked.namespace),
        subjects=tuple(
            msgspec.structs.replace(subject, namespace=subject.namespace or grant.namespace)
            if subject.kind == "ServiceAccount"
            else subject
            for subject in grant.binding.subjects or ()
        ),
    )
    role = None
    if grant.binding.role_ref.kind == "Role":
        kind = "Role" if asked.namespace else "ClusterRole"
        binding = msgspec.structs.replace(
            binding, role_ref=RoleRef(kind=kind, name=grant.binding.role_ref.name)
        )
        role = Role(
            metadata=ObjectMeta(name=grant.binding.role_ref.name, namespace=asked.namespace),
            rules=tuple(compiled.rule for compiled in grant.rules),
        )
    return NearMiss(
        what=f"{grant.binding.label} grants it in namespace {grant.namespace} alone",
        mend=f"bind {grant.role} in {where} as well",
        binding=binding,
        role=role,
    )


def _wrong_rule(
    grant: Grant, role: Role, index: int, compiled: Compiled, asked: Attributes
) -> Iterator[NearMiss]:
    mended = _mended(compiled.rule, asked)
    if mended is None or not Compiled(mended[0]).allows(asked):
        return
    rule, how = mended
    rules = list(role.rules or ())
    rules[index] = rule
    yield NearMiss(
        what=f"{grant.binding.label} → {grant.role} has: {spell(compiled.rule)}",
        mend=f"{how} in rule {index + 1} of {grant.role}",
        role=msgspec.structs.replace(role, rules=tuple(rules)),
    )


def _mended(rule: PolicyRule, asked: Attributes) -> tuple[PolicyRule, str] | None:
    """The rule with the one thing changed that it lacks; None if it lacks more."""
    compiled = Compiled(rule)
    lacks: list[tuple[PolicyRule, str]] = []
    replace = msgspec.structs.replace
    if not (compiled.any_verb or asked.verb in compiled.verbs):
        lacks.append((replace(rule, verbs=(*rule.verbs, asked.verb)), f"add verb {asked.verb}"))
    if not asked.resource_request:
        if not rule.non_resource_urls:
            return None
        if not Compiled(replace(rule, verbs=("*",))).allows(asked):
            urls = (*rule.non_resource_urls, asked.path)
            lacks.append((replace(rule, non_resource_urls=urls), f"add URL {asked.path}"))
        return lacks[0] if len(lacks) == 1 else None
    if not rule.resources:
        return None
    if not (compiled.any_group or asked.group in compiled.groups):
        groups = (*rule.api_groups, asked.group)
        lacks.append((replace(rule, api_groups=groups), f'add API group "{asked.group}"'))
    if not compiled.has_resource(asked.combined, asked.subresource):
        resources = (*rule.resources, asked.combined)
        lacks.append((replace(rule, resources=resources), f"add resource {asked.combined}"))
    if compiled.names and asked.name not in compiled.names:
        names = (*rule.resource_names, asked.name) if asked.name else ()
        how = f"add resource name {asked.name}" if asked.name else "drop the resource names"
        lacks.append((replace(rule, resource_names=names), how))
    return lacks[0] if len(lacks) == 1 else None


def _in_others(grants: list[Grant], mine: list[Grant], asked: Attributes) -> Iterator[NearMiss]:
    """Bindings that allow it to somebody who is written almost as the user is."""
    own = {id(grant) for grant in mine}
    for grant in grants:
        if id(grant) in own or grant.namespace not in ("", asked.namespace):
            continue
        for index, subject in enumerate(grant.binding.subjects or ()):
            why = _almost(subject, grant.namespace, asked)
            if why and grant.allowing(asked) is not None:
                subjects = list(grant.binding.subjects or ())
                subjects[index] = _subject_of(asked.user.name)
                yield NearMiss(
                    what=f"{grant.binding.label} → {grant.role} allows it to {why}",
                    mend=f"name {asked.user.name} in {grant.binding.label}",
                    binding=msgspec.structs.replace(grant.binding, subjects=tuple(subjects)),
                )


def _almost(subject: Subject, namespace: str, asked: Attributes) -> str:
    """How a subject is a slip of the pen for the user; empty if it is not."""
    user = asked.user.name
    found = subject_name(subject, namespace)
    if not user or found is None or found == (False, user):
        return ""
    account = split_service_account(user)
    is_group, name = found
    if name == user or (is_group and name in (user, account and account[1])):
        return f"the {subject.kind} of that name"
    if name.lower() == user.lower():
        return f"{subject.kind} {name}, which is written differently"
    if account and subject.name == account[1] and not is_group:
        return f"{subject.kind} {name}, of the same name"
    return ""


def _subject_of(user: str) -> Subject:
    account = split_service_account(user)
    if account:
        return Subject(kind="ServiceAccount", namespace=account[0], name=account[1])
    return Subject(kind="User", name=user)


def _just(asked: Attributes) -> PolicyRule:
    """A rule that allows this and nothing else."""
    if not asked.resource_request:
        return PolicyRule(verbs=(asked.verb,), non_resource_urls=(asked.path,))
    return PolicyRule(
        verbs=(asked.verb,),
        api_groups=(asked.group,),
        resources=(asked.combined,),
        resource_names=(asked.name,) if asked.name else (),
    )


def mended(policy: Policy, miss: NearMiss) -> Policy:
    """The policy with a mend made."""
    roles = {(role.namespace, role.name): role for role in policy.roles}
    bindings = {(each.namespace, each.name): each for each in policy.bindings}
    if miss.role is not None:
        roles[miss.role.namespace, miss.role.name] = miss.role
    if miss.binding is not None:
        bindings[miss.binding.namespace, miss.binding.name] = miss.binding
    return msgspec.structs.replace(
        policy, roles=tuple(roles.values()), bindings=tuple(bindings.values())
    )
