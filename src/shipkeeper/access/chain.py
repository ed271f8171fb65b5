"""An API server's authorizers one after the other. Pure."""

from collections.abc import Mapping
from typing import Protocol

from shipkeeper.access.abac import Abac, parse_abac
from shipkeeper.access.attributes import MASTERS, Attributes
from shipkeeper.access.authorizers import AuthorizerConfig
from shipkeeper.access.decision import NO_OPINION, Answer, Decision, Opinion
from shipkeeper.access.node import Node
from shipkeeper.access.node_graph import NodeGraph
from shipkeeper.access.policy import Policy
from shipkeeper.access.rbac import Rbac
from shipkeeper.access.webhook import Ask, Webhook
from shipkeeper.errors import UsageError

PRIVILEGED_GROUP = "system-privileged-group"
_EVERYTHING = "everything is allowed to the group system:masters"

# From this minor on each reason begins with the name of its authorizer.
_NAMED_REASONS = 30


class Authorizer(Protocol):
    """Anything that has an opinion."""

    def authorize(self, asked: Attributes) -> Opinion:
        """What it has to say to a request."""
        ...


class UnknownPolicyFileError(UsageError):
    """ABAC decides with a file that is not at hand."""


class _Always:
    def __init__(self, opinion: Opinion) -> None:
        self._opinion = opinion

    def authorize(self, asked: Attributes) -> Opinion:
        del asked
        return self._opinion


class Chain:
    """The authorizers of a policy, ready to be asked."""

    def __init__(self, policy: Policy, webhooks: Mapping[str, Ask] | None = None) -> None:
        self.policy = policy
        self._webhooks = webhooks or {}
        self.rbac: Rbac | None = None
        self.node: Node | None = None
        self.abac: Abac | None = None
        self._is_named = policy.version.minor >= _NAMED_REASONS
        self.authorizers = [(each, self._make(each)) for each in policy.chain.authorizers]

    def _make(self, config: AuthorizerConfig) -> Authorizer:
        policy = self.policy
        match config.type:
            case "RBAC":
                self.rbac = Rbac(policy.roles, policy.bindings)
                return self.rbac
            case "Node":
                self.node = Node(NodeGraph(policy), policy.version.minor)
                return self.node
            case "ABAC":
                self.abac = self._abac()
                return self.abac
            case "Webhook" if config.webhook is not None:
                return Webhook(config.webhook, self._webhooks.get(config.name))
            case "AlwaysAllow":
                return _Always(Opinion(Decision.ALLOW, "", "", "everything is allowed"))
            case _:
                # AlwaysDeny has no opinion: whoever comes after it may still allow.
                return _Always(Opinion(Decision.NO_OPINION, "Everything is forbidden."))

    def _abac(self) -> Abac:
        chain = self.policy.chain
        if chain.abac is None:
            raise UnknownPolicyFileError(
                "this cluster decides with an ABAC policy file that is not at hand",
                reason="NoPolicyFile",
                hint="name a copy of it with --abac-file",
            )
        return parse_abac(chain.abac, chain.abac_path or "the policy file")

    def answer(self, asked: Attributes) -> Answer:
        """Ask one after the other until one allows or denies."""
        if MASTERS in asked.user.groups:
            return Answer(decision=Decision.ALLOW, authorizer=PRIVILEGED_GROUP, rule=_EVERYTHING)
        reasons: list[str] = []
        errors: list[str] = []
        unasked: list[str] = []
        for config, authorizer in self.authorizers:
            opinion = authorizer.authorize(asked)
            if opinion is NO_OPINION:
                continue
            if opinion.decision in (Decision.ALLOW, Decision.DENY):
                return _decided(config.name, opinion, unasked)
            if opinion.decision is Decision.UNKNOWN:
                unasked.append(config.name)
            if opinion.reason:
                named = f"{config.name}: {opinion.reason}" if self._is_named else opinion.reason
                reasons.append(named)
            if opinion.error:
                errors.append(opinion.error)
        return Answer(
            decision=Decision.NO_OPINION,
            reason="\n".join(reasons),
            error="; ".join(errors),
            unasked=tuple(unasked),
        )

    def allows(self, asked: Attributes) -> bool:
        """Whether a request is let through, as far as that is known."""
        return self.answer(asked).allowed


def _decided(name: str, opinion: Opinion, unasked: list[str]) -> Answer:
    return Answer(
        decision=opinion.decision,
        authorizer=name,
        rule=opinion.rule,
        reason=opinion.reason,
        error=opinion.error,
        unasked=tuple(unasked),
    )
