"""Everybody who may do something, over all authorizers. Pure."""

from collections.abc import Iterable, Iterator

import msgspec

from shipkeeper.access.abac import ANY, AbacLine
from shipkeeper.access.attributes import (
    AUTHENTICATED,
    MASTERS,
    NODE_PREFIX,
    NODES,
    User,
    service_account,
    split_service_account,
)
from shipkeeper.access.chain import PRIVILEGED_GROUP, Chain
from shipkeeper.access.policy import Policy
from shipkeeper.access.rbac import subject_name
from shipkeeper.access.rule import spell
from shipkeeper.access.words import Question

EVERYBODY = "*"


class Holder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Somebody who may, and by what; `namespace` is where, empty for everywhere.

    `kind` is User, Group, ServiceAccount or Node; a User may have to be in `group` as well. A line
    of ABAC for no namespace is `without_namespace`: it counts for requests over all namespaces at
    once, and for none in any of them.
    """

    kind: str
    name: str
    group: str = ""
    namespace: str = ""
    without_namespace: bool = False
    authorizer: str
    by: str
    rule: str = ""

    @property
    def user(self) -> User:
        """Somebody whom the holder stands for."""
        groups = (self.group,) if self.group else ()
        match self.kind:
            case "Group":
                return User(name="somebody", groups=(self.name, *groups))
            case "ServiceAccount":
                found = split_service_account(self.name)
                return service_account(*found) if found else User(name=self.name)
            case "Node":
                return User(name=self.name, groups=(NODES, AUTHENTICATED))
            case _:
                return User(name=self.name, groups=groups)


class Holders(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The answer: who may, and which webhooks may allow or deny besides."""

    question: str
    holders: tuple[Holder, ...]
    webhooks: tuple[str, ...] = ()


def who_can(chain: Chain, question: Question, *, everywhere: bool = False) -> Holders:
    """Everybody who may, in the question's namespace or `everywhere` in any."""
    found: list[Holder] = [
        Holder(
            kind="Group",
            name=MASTERS,
            authorizer=PRIVILEGED_GROUP,
            by="everything is allowed to it",
        )
    ]
    webhooks: list[str] = []
    for config, _ in chain.authorizers:
        match config.type:
            case "RBAC":
                found += _by_rbac(chain, question, everywhere=everywhere)
            case "ABAC":
                found += _by_abac(chain, question, everywhere=everywhere)
            case "Node":
                found += _by_node(chain, question, everywhere=everywhere)
            case "Webhook":
                webhooks.append(config.name)
            case "AlwaysAllow":
                everything = "everything is allowed"
                found.append(
                    Holder(kind="Group", name=EVERYBODY, authorizer=config.name, by=everything)
                )
            case _:
                pass
    unique = tuple(dict.fromkeys(found))
    return Holders(question=str(question), holders=unique, webhooks=tuple(webhooks))


def _by_rbac(chain: Chain, question: Question, *, everywhere: bool) -> Iterator[Holder]:
    if chain.rbac is None:
        return
    nobody = User()
    for grant in chain.rbac.grants:
        where = grant.namespace
        if where and not (
            where == question.namespace or (everywhere and not question.is_cluster_scoped)
        ):
            continue
        rule = grant.allowing(question.of(nobody, where or question.namespace))
        if rule is None:
            continue
        for subject in grant.binding.subjects or ():
            named = subject_name(subject, where)
            if named is not None:
                yield Holder(
                    kind=subject.kind,
                    name=named[1],
                    namespace=where,
                    authorizer="rbac",
                    by=f"{grant.binding.label} → {grant.role}",
                    rule=spell(rule.rule),
                )


def _by_abac(chain: Chain, question: Question, *, everywhere: bool) -> Iterator[Holder]:
    for line in chain.abac.lines if chain.abac else ():
        where = question.namespace
        if everywhere and not question.is_cluster_scoped and line.namespace != ANY:
            where = line.namespace
        if line.allows(question.of(_anyone_of(line), where)):
            yield Holder(
                kind="User" if line.user else "Group",
                name=line.user or line.group,
                group=line.group if line.user else "",
                namespace="" if line.namespace == ANY else where,
                without_namespace=not (line.namespace or question.is_cluster_scoped),
                authorizer="abac",
                by=f"line {line.number}",
            )


def _anyone_of(line: AbacLine) -> User:
    return User(name=line.user, groups=(line.group,) if line.group else ())


def _by_node(chain: Chain, question: Question, *, everywhere: bool) -> Iterator[Holder]:
    if chain.node is None:
        return
    spaces = {question.namespace}
    if everywhere and not question.is_cluster_scoped:
        spaces |= {pod.namespace for pod in chain.policy.pods} | {"kube-node-lease"}
    for node in known_nodes(chain.policy):
        user = User(name=f"{NODE_PREFIX}{node}", groups=(NODES, AUTHENTICATED))
        for namespace in sorted(spaces):
            opinion = chain.node.authorize(question.of(user, namespace))
            if opinion.decision == "Allow":
                yield Holder(
                    kind="Node",
                    name=user.name,
                    namespace=namespace,
                    authorizer="node",
                    by=opinion.rule,
                )
                if not namespace:
                    # What holds for no namespace in particular holds for each of them.
                    break


def known_nodes(policy: Policy) -> list[str]:
    """The nodes that are there, or that pods are bound to."""
    bound: Iterable[str] = (pod.spec.get("nodeName", "") for pod in policy.pods)
    return sorted({*(node.name for node in policy.of_kind("Node")), *bound} - {""})
