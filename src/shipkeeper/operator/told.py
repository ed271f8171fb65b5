"""Words and conditions that the statuses of all kinds share. Pure."""

from datetime import UTC, datetime

from shipkeeper.engine.verdict import Verdict
from shipkeeper.errors import ShipkeeperError
from shipkeeper.operator.api.conditions import StatusCondition, Truth


def explained(error: ShipkeeperError) -> str:
    """What went wrong, and what to do about it."""
    return f"{error.message} ({error.hint})" if error.hint else error.message


def in_the_way(verdict: Verdict) -> str:
    """What keeps something from being done, and what to do about it."""
    found = f"{verdict.target}: {verdict.message}"
    return f"{found} ({verdict.remedy})" if verdict.remedy else found


def condition(type_: str, status: Truth | bool, reason: str, message: str = "") -> StatusCondition:
    """A condition whose moment is settled later."""
    truth: Truth = status if isinstance(status, str) else "True" if status else "False"
    return StatusCondition(type=type_, status=truth, reason=reason, message=message)


def accepted() -> StatusCondition:
    """The spec makes sense."""
    return condition("Accepted", True, "Valid")


def spec_ignored() -> StatusCondition:
    """The condition of one whose spec was changed after it was planned."""
    return condition(
        "Accepted",
        True,
        "SpecIgnored",
        "the spec was changed after it was planned, and what it says now is not done: "
        "for that, delete it and create another",
    )


def whole(moment: datetime) -> datetime:
    """Kubernetes' own times have no fractions of seconds."""
    return moment.astimezone(UTC).replace(microsecond=0)
