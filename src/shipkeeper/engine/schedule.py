"""Which step of a plan may begin next: a pure state machine, for real runs and for rehearsals."""

from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Set
from enum import StrEnum

from shipkeeper.engine.claims import Claims
from shipkeeper.engine.plan import Plan, Step


class Ending(StrEnum):
    """How a step ended; one is skipped when what it needs did not come about."""

    DONE = "Done"
    FAILED = "Failed"
    BLOCKED = "Blocked"
    SKIPPED = "Skipped"


_FAILURES = frozenset({Ending.FAILED, Ending.BLOCKED})


class Schedule:
    """The steps of a plan on their way: waiting, ready, begun, ended."""

    def __init__(self, plan: Plan, begun: Set[str] = frozenset()) -> None:
        """Begin with a plan of which some steps, named by `begun`, are under way or have ended."""
        self.endings: dict[str, Ending] = {}
        self._begun = set(begun)
        self._steps = plan.steps
        self._max_failed = plan.max_failed
        self._number = {step.id: number for number, step in enumerate(plan.steps)}
        self._missing = {step.id: set(step.after) for step in plan.steps}
        self._followers: defaultdict[str, list[Step]] = defaultdict(list)
        for step in plan.steps:
            for id_ in step.after:
                self._followers[id_].append(step)
        self._claims = Claims(plan.limits)
        self._held: set[str] = set()
        # Done by an earlier attempt: they are only passed over, and need not claim anything.
        self._over: Set[str] = frozenset()
        self._ready: list[int] = []
        # Ready as well, but they claim something: looked at again only when something was given
        # back, as there may be thousands of them.
        self._claiming: list[int] = []
        self._look_again = True
        for step in plan.steps:
            if not step.after:
                self._make_ready(step)

    @property
    def is_over(self) -> bool:
        """Whether every step has ended."""
        return len(self.endings) == len(self._steps)

    @property
    def has_failed_too_often(self) -> bool:
        """Whether more steps failed than the plan bears."""
        failures = Counter(self.endings.values())
        return self._max_failed is not None and (
            sum(failures[each] for each in _FAILURES) > self._max_failed
        )

    @property
    def begun(self) -> frozenset[str]:
        """The ids of the steps that were begun, ended ones included."""
        return frozenset(self._begun)

    def revised(self, plan: Plan) -> "Schedule":
        """Where another plan stands that has every step which was begun by this one."""
        found = Schedule(plan, self._begun)
        found._over = self._over
        for step in plan.steps:
            if step.id in self._held:
                found._hold(step)
        known = {step.id: step for step in plan.steps}
        for id_, ending in self.endings.items():
            if id_ in known and id_ in self._begun:
                found._end(known[id_], ending)
        if found.has_failed_too_often:
            found.skip_unbegun()
        return found

    def take_up(self, begun: Set[str], done: Set[str]) -> None:
        """Hold the claims of steps that an earlier attempt began and did not give back.

        Those that it did can begin whatever is held, for there is nothing left of them to do.
        """
        self._over = done
        given_back = {id_ for step in self._steps if step.id in done for id_ in step.releases}
        for step in self._steps:
            if step.claims and step.id in begun and step.id not in given_back:
                self._hold(step)

    def begin(self, *, is_paused: bool = False) -> list[Step]:
        """Take the steps that may begin now, in the plan's order.

        Of those that claim something, none is begun that does not fit, and none while paused.
        """
        begun = [self._steps[number] for number in self._ready]
        self._ready = []
        if self._look_again:
            begun += self._begin_claiming(is_paused=is_paused)
        self._begun.update(step.id for step in begun)
        return sorted(begun, key=lambda step: self._number[step.id])

    def _begin_claiming(self, *, is_paused: bool) -> list[Step]:
        begun: list[Step] = []
        waiting: list[int] = []
        for number in self._claiming:
            step = self._steps[number]
            if self._may_begin(step, is_paused=is_paused):
                begun.append(step)
            else:
                waiting.append(number)
        self._claiming = waiting
        self._look_again = is_paused
        return begun

    def _may_begin(self, step: Step, *, is_paused: bool) -> bool:
        """Whether a step may begin; from then on it holds what it claims."""
        if step.id in self._held or step.id in self._over:
            return True
        if is_paused or not self._claims.fit(step.claims):
            return False
        self._hold(step)
        return True

    def _make_ready(self, step: Step) -> None:
        if step.id in self._begun:
            return
        if step.claims:
            insort(self._claiming, self._number[step.id])
            self._look_again = True
        else:
            insort(self._ready, self._number[step.id])

    def _hold(self, step: Step) -> None:
        if step.claims and step.id not in self._held:
            self._held.add(step.id)
            self._claims.hold(step.id, step.claims)

    def give_back(self, ids: Iterable[str]) -> None:
        """Release what steps hold, because they were undone or their work is over."""
        for id_ in ids:
            self._held.discard(id_)
            self._claims.release(id_)
            self._look_again = True

    def end(self, step: Step, ending: Ending) -> None:
        """Note how a begun step ended; what can no longer come about is skipped."""
        if ending is Ending.DONE:
            self.give_back(step.releases)
        self._end(step, ending)
        if self.has_failed_too_often:
            self.skip_unbegun()

    def skip_unbegun(self) -> None:
        """Skip the steps that would claim something, and with them what follows them."""
        for step in self._steps:
            is_begun = step.id in self._held or step.id in self._over
            if step.claims and not is_begun and step.id not in self.endings:
                self._end(step, Ending.SKIPPED)

    def _end(self, step: Step, ending: Ending) -> None:
        ended = [(step, ending)]
        while ended:
            step, ending = ended.pop()
            if step.id in self.endings:
                continue
            self.endings[step.id] = ending
            if ending is Ending.SKIPPED and self._number[step.id] in self._claiming:
                self._claiming.remove(self._number[step.id])
            ended += [(each, Ending.SKIPPED) for each in self._followed_by(step, ending)]

    def _followed_by(self, step: Step, ending: Ending) -> list[Step]:
        """Make the followers of an ended step ready; those that cannot come about are returned."""
        lost: list[Step] = []
        for follower in self._followers[step.id]:
            if ending is not Ending.DONE and not follower.always:
                lost.append(follower)
                continue
            missing = self._missing[follower.id]
            missing.discard(step.id)
            if not missing and follower.id not in self.endings:
                self._make_ready(follower)
        return lost
