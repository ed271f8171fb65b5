"""The Webhook authorizer, as far as it can be told without the webhook. Pure.

As k8s.io/apiserver plugin/pkg/authorizer/webhook: conditions first, then the webhook's word.
"""

from collections.abc import Callable

import msgspec

from shipkeeper.access.attributes import Attributes
from shipkeeper.access.authorizers import WebhookConfig
from shipkeeper.access.conditions import match
from shipkeeper.access.decision import NO_OPINION, Decision, Opinion

_BOTH = "webhook subject access review returned both allow and deny response"


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook said; with an error it did not answer."""

    allowed: bool = False
    denied: bool = False
    reason: str = ""
    error: str = ""


Ask = Callable[[Attributes], Reply]
"""Whoever knows what a webhook says."""


class Webhook:
    """One webhook; without anybody to ask, its word is unknown."""

    def __init__(self, config: WebhookConfig, ask: Ask | None = None) -> None:
        self._config = config
        self._ask = ask

    def authorize(self, asked: Attributes) -> Opinion:
        """The webhook's word, no opinion if its conditions leave it out."""
        matched = match(self._config.conditions, asked)
        if matched.error:
            return self._failed(matched.error)
        if not matched.matches:
            return NO_OPINION
        if self._ask is None:
            return Opinion(Decision.UNKNOWN, "the webhook was not asked")
        return self._said(self._ask(asked))

    def _said(self, reply: Reply) -> Opinion:
        if reply.error:
            return self._failed(reply.error)
        if reply.denied:
            return Opinion(Decision.DENY, reply.reason, _BOTH if reply.allowed else "")
        decision = Decision.ALLOW if reply.allowed else Decision.NO_OPINION
        return Opinion(decision, reply.reason)

    def _failed(self, why: str) -> Opinion:
        on_failure = self._config.denies_on_failure
        return Opinion(Decision.DENY if on_failure else Decision.NO_OPINION, "", why)
