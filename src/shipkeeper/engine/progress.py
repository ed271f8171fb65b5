"""What a run tells while it goes on; the doors turn it into tables, lines or streams."""

from collections.abc import Callable

import msgspec

from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.verdict import Verdict


class RunStarted(msgspec.Struct, frozen=True, tag="run"):
    """A run begins, or goes on where it was interrupted."""

    run: str
    plan: Plan
    resumed: bool


class PlanRevised(msgspec.Struct, frozen=True, tag="revised"):
    """The world changed, and the plan of the run with it: what changed, a sentence each."""

    plan: Plan
    changes: tuple[str, ...]


class StepStarted(msgspec.Struct, frozen=True, tag="started"):
    """A step begins."""

    step: Step


class StepDone(msgspec.Struct, frozen=True, tag="done"):
    """A step's effect was observed; `already` if an earlier attempt had brought it about."""

    step: Step
    already: bool = False


class StepFailed(msgspec.Struct, frozen=True, tag="failed"):
    """A step did not come to its effect."""

    step: Step
    verdict: Verdict


class StepUndone(msgspec.Struct, frozen=True, tag="undone"):
    """A step was taken back."""

    step: Step


class ItemChanged(msgspec.Struct, frozen=True, tag="item"):
    """Something became of one item; `state` is CamelCase, such as Evicting, Waiting, Gone.

    `budget` is the `namespace/name` of what it waits for, if that is a budget.
    """

    step: str
    item: str
    state: str
    message: str = ""
    budget: str = ""


class Note(msgspec.Struct, frozen=True, tag="note"):
    """A sentence for the user that belongs to no step."""

    message: str
    is_warning: bool = False


Event = (
    RunStarted | PlanRevised | StepStarted | StepDone | StepFailed | StepUndone | ItemChanged | Note
)
Sink = Callable[[Event], None]


def quiet(_event: Event) -> None:
    """A sink for those who do not want to know."""
