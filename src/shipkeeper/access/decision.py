"""What authorizers answer, one by one and as a chain. Pure."""

from enum import StrEnum

import msgspec


class Decision(StrEnum):
    """An authorizer's word; the first Allow or Deny of a chain ends it."""

    ALLOW = "Allow"
    DENY = "Deny"
    NO_OPINION = "NoOpinion"
    UNKNOWN = "Unknown"
    """A webhook would be asked, and nobody asked it."""


# gc=False: they hold no cycles, and many at once would set the garbage collector to walking through
# a whole cluster's policy again and again (more than half of the time of a decision).
class Opinion(msgspec.Struct, frozen=True, gc=False):
    """One authorizer's answer; an error alone never allows anything."""

    decision: Decision
    reason: str = ""
    error: str = ""
    rule: str = ""
    """The rule that decided, as it is spoken of."""


NO_OPINION = Opinion(Decision.NO_OPINION)


class Answer(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True, gc=False
):
    """A chain's answer, as a SubjectAccessReview's status gives it.

    `authorizer` is the one that decided, `rule` what it decided by. `unasked` are webhooks that
    come before the decision: what they say could turn it.
    """

    decision: Decision
    authorizer: str = ""
    rule: str = ""
    reason: str = ""
    error: str = ""
    unasked: tuple[str, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether the request is let through."""
        return self.decision is Decision.ALLOW and not self.unasked

    @property
    def denied(self) -> bool:
        """Whether an authorizer refused it for good, whatever later ones would say."""
        return self.decision is Decision.DENY and not self.unasked

    @property
    def is_known(self) -> bool:
        """Whether no webhook could turn it."""
        return not self.unasked
