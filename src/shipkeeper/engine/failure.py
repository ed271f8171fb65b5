"""Why a step failed, as a verdict on it."""

import errno

from shipkeeper.engine.plan import Step
from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.errors import ShipkeeperError

# What a machine says that has no room, or takes no more writes or files.
NO_ROOM = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}
)


def verdict_of(step: Step, error: ShipkeeperError, effect: Effect) -> Verdict:
    """The verdict that an error amounts to."""
    return Verdict(
        target=step.target,
        effect=effect,
        reason=error.reason,
        message=error.message,
        remedy=error.hint,
    )


def of_this_machine(step: Step, error: OSError) -> Verdict:
    """A full disk here, for one, is no reason to leave what was begun half done there."""
    return Verdict(
        target=step.target,
        effect=Effect.WARN,
        reason="SystemError",
        message=f"this machine refused it: {error}",
        remedy="see the room on its disks, and the limits of this process",
    )
