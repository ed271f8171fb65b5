"""Where a run stands that an object asks for: the same for every kind that has runs. Pure."""

from enum import StrEnum

import msgspec

from shipkeeper.engine.journal import Outcome

# Of a plan that its object does not ask for any more, nothing is begun.
CHANGED = (
    "the spec asks for something else than was planned, and nothing of that was begun: "
    "change it back, or delete it and create another"
)

OTHER = "OtherMaintenance"
"""The reason while another run has the turn."""


class Phase(StrEnum):
    """Where it stands; the last five are final."""

    PENDING = "Pending"
    PLANNED = "Planned"
    AWAITING_APPROVAL = "AwaitingApproval"
    WAITING = "Waiting"
    RUNNING = "Running"
    PAUSED = "Paused"
    STOPPING = "Stopping"
    SUCCEEDED = "Succeeded"
    INCOMPLETE = "Incomplete"
    BLOCKED = "Blocked"
    FAILED = "Failed"
    ABORTED = "Aborted"


ENDS = {
    Outcome.SUCCEEDED: Phase.SUCCEEDED,
    Outcome.INCOMPLETE: Phase.INCOMPLETE,
    Outcome.BLOCKED: Phase.BLOCKED,
    Outcome.FAILED: Phase.FAILED,
    Outcome.ABORTED: Phase.ABORTED,
}


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What a run does now, and why: a CamelCase reason and a sentence.

    `is_spec_ignored` tells that the spec asks for something else than what was planned.
    """

    phase: Phase
    reason: str
    message: str = ""
    is_spec_ignored: bool = False


def other(busy: str) -> Situation:
    """It waits for the run of another object, whose name that is."""
    message = f"{busy} is under way; one run goes on at a time"
    return Situation(phase=Phase.WAITING, reason=OTHER, message=message)
