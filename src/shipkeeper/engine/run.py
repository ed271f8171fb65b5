"""Running a plan: step after step, each journaled, checked against the world, and observed.

Killed at any point and started again with the same journal, a run does what is left and nothing
twice: a step that the journal holds as done is passed over, one that was begun is first observed.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from shipkeeper.engine.action import Action, StandingError, StepRecord
from shipkeeper.engine.brake import Brake
from shipkeeper.engine.failure import NO_ROOM, of_this_machine, verdict_of
from shipkeeper.engine.journal import Entry, JournalError, Outcome, Phase
from shipkeeper.engine.ledger import Ledger
from shipkeeper.engine.plan import Plan, Step
from shipkeeper.engine.progress import (
    PlanRevised,
    Sink,
    StepDone,
    StepFailed,
    StepStarted,
    StepUndone,
)
from shipkeeper.engine.review import Review, Reviewer, Revision
from shipkeeper.engine.schedule import Ending, Schedule
from shipkeeper.engine.tenure import LockLostError
from shipkeeper.engine.tracing import traced
from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.errors import BlockedError, ShipkeeperError


class RollbackError(ShipkeeperError):
    """A step failed, and what it rests on still stands; the run can be gone on with."""


class StepResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How one step ended: Done, Failed, Blocked, Skipped or Interrupted."""

    step: str
    state: str
    verdict: Verdict | None = None


class RunResult(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How a run ended, step by step, in the plan's order."""

    run: str
    outcome: Outcome
    steps: tuple[StepResult, ...]

    @property
    def failures(self) -> tuple[Verdict, ...]:
        """Why steps failed or were blocked."""
        return tuple(result.verdict for result in self.steps if result.verdict is not None)


async def _at_once() -> None:
    """Nothing is waited for."""


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What a run heeds beside its plan; by itself nothing.

    The brake holds back what claims something, `permit` is asked before each step that changes
    something, the reviewer may have the plan made anew, and `settle` is awaited before the end of
    the run is written down, for nobody goes on with it after that.
    """

    brake: Brake | None = None
    permit: Callable[[], Awaitable[None]] = _at_once
    reviewer: Reviewer | None = None
    settle: Callable[[], Awaitable[None]] = _at_once


class Run:
    """One execution of one plan; `settle` is awaited before its end is written down."""

    def __init__(
        self,
        id_: str,
        plan: Plan,
        actions: Mapping[str, Action],
        journal: Ledger,
        tell: Sink,
        heeding: Circumstances | None = None,
    ) -> None:
        self.id = id_
        self.plan = plan
        self._actions = actions
        self._journal, self._tell = traced(id_, plan, journal, tell)
        heeding = heeding or Circumstances()
        self._brake = heeding.brake or Brake(None)
        self._review = Review(heeding.reviewer)
        self._permit = heeding.permit
        self._settle = heeding.settle
        self._schedule = Schedule(plan)
        self._results: dict[str, StepResult] = {}
        self._records: dict[str, StepRecord] = {}
        self._doubtful: frozenset[str] = frozenset()
        # Steps that are to be done again, though the journal holds them as done.
        self._again: set[str] = set()
        self._read_records()

    def _read_records(self) -> None:
        entries: defaultdict[str, list[Entry]] = defaultdict(list)
        for entry in self._journal.entries(self.id):
            entries[entry.step].append(entry)
        for step in self.plan.steps:
            self._records[step.id] = self._record(step, entries[step.id])
        self._doubtful = self._find_doubtful()
        for step in self.plan.steps:
            # What was done to a target on the ground of something that was taken back from it must
            # be done again; to the journal, and to an abort, it stays what it is.
            if any(self._is_taken_back(id_, step.target) for id_ in step.after):
                self._again.add(step.id)

    def _is_taken_back(self, id_: str, target: str) -> bool:
        """Whether the effect of a step on a target is gone, or may be."""
        if self.plan.step(id_).target != target:
            return False
        is_undone = self._records[id_].phase is Phase.UNDONE
        return is_undone or id_ in self._doubtful or id_ in self._again

    def _record(self, step: Step, entries: list[Entry]) -> StepRecord:
        return StepRecord(self._journal, self.id, step.id, entries, self._records)

    def _find_doubtful(self) -> frozenset[str]:
        """Steps that were done, and perhaps taken back by the failure of another."""
        return frozenset(
            id_
            for step in self.plan.steps
            if self._records[step.id].phase is Phase.FAILED
            and not self._records[step.id].detail.get("stands")
            for id_ in step.rollback
        )

    async def execute(self) -> RunResult:
        """Do every step as soon as those before it are done; steps without order run side by side.

        A cancellation stops all steps where they are, marks the run Interrupted and goes on up.
        """
        try:
            await self._execute_steps()
            await self._settle()
        except (asyncio.CancelledError, LockLostError):
            await self._journal.finish(self.id, Outcome.INTERRUPTED)
            raise
        except RollbackError:
            # Perhaps the journal itself takes no more; what it did not hear of is unfinished, too.
            with suppress(ShipkeeperError):
                await self._journal.finish(self.id, Outcome.INTERRUPTED)
            raise
        result = self._result()
        await self._journal.finish(self.id, result.outcome)
        return result

    async def _execute_steps(self) -> None:
        running: dict[asyncio.Task[StepResult], Step] = {}
        self._take_up()
        try:
            while True:
                revision = self._review.advance(self.plan, self._begun)
                if revision is not None:
                    await self._revise(revision)
                is_paused = self._brake.is_on or self._review.holds_back
                for step in self._schedule.begin(is_paused=is_paused):
                    running[asyncio.create_task(self._step(step))] = step
                if not running and not self._goes_on():
                    return
                finished = await self._first_of(running)
                for task in finished:
                    self._conclude(running.pop(task), task.result())
        finally:
            await self._review.close()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _first_of(
        self, running: Mapping["asyncio.Task[StepResult]", Step]
    ) -> set["asyncio.Task[StepResult]"]:
        """The steps that have ended; none if the brake, or a review, has something to say."""
        brake = asyncio.create_task(self._brake.change())
        waits = {brake, *self._review.waits(), *running}
        try:
            finished, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            brake.cancel()
        return {task for task in running if task in finished}

    def _goes_on(self) -> bool:
        """With nothing under way: whether the brake or a review holds steps back.

        Else the end is reached: what is left has to wait for what failed, and is skipped.
        """
        if self._schedule.is_over:
            return False
        if self._brake.is_on or self._review.holds_back:
            return True
        self._schedule.skip_unbegun()
        return not self._schedule.is_over

    async def _revise(self, revision: Revision) -> None:
        """Go on by another plan, once it is on record."""
        await self._journal.revise(self.id, revision)
        self._schedule = self._schedule.revised(revision.plan)
        self.plan = revision.plan
        for step in self.plan.steps:
            if step.id not in self._records:
                self._records[step.id] = self._record(step, [])
        self._tell(PlanRevised(revision.plan, revision.changes))

    def _begun(self) -> frozenset[str]:
        """The ids of the steps that this attempt or an earlier one has begun."""
        earlier = {id_ for id_, record in self._records.items() if record.phase is not None}
        return self._schedule.begun | earlier

    def _take_up(self) -> None:
        """Let steps hold what an earlier attempt had claimed."""
        stands = {id_: each for id_, each in self._records.items() if id_ not in self._again}
        begun = {id_ for id_, record in stands.items() if record.is_begun}
        done = {id_ for id_, record in stands.items() if record.phase is Phase.AFTER}
        self._schedule.take_up(begun, done)

    def _conclude(self, step: Step, result: StepResult) -> None:
        self._results[step.id] = result
        self._schedule.end(step, Ending(result.state))

    async def _step(self, step: Step) -> StepResult:
        record = self._records[step.id]
        if record.phase is Phase.AFTER and step.id not in self._doubtful | self._again:
            self._tell(StepDone(step, already=True))
            return StepResult(step=step.id, state="Done")
        rollback = step.rollback
        try:
            verdict = await self._attempt(step, record)
        except LockLostError:
            # It did not fail: nobody may go on with it here, and it is gone on with later.
            raise
        except StandingError as error:
            verdict, rollback = verdict_of(step, error, Effect.WARN), ()
        except BlockedError as error:
            verdict = verdict_of(step, error, Effect.BLOCK)
        except ShipkeeperError as error:
            verdict = verdict_of(step, error, Effect.WARN)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            verdict = of_this_machine(step, error)
        if verdict is None:
            self._tell(StepDone(step))
            return StepResult(step=step.id, state="Done")
        return await self._failed(step, record, verdict, rollback)

    async def _attempt(self, step: Step, record: StepRecord) -> Verdict | None:
        action = self._actions[step.action]
        refused = await action.check(step)
        if refused is not None:
            return refused
        self._tell(StepStarted(step))
        if not record.is_begun or step.id in self._again:
            await record.write(Phase.BEFORE)
        await self._permit()
        await action.perform(step, record)
        missing = await action.verify(step, record)
        if missing is None:
            await record.write(Phase.AFTER)
        return missing

    async def _failed(
        self, step: Step, record: StepRecord, verdict: Verdict, rollback: tuple[str, ...]
    ) -> StepResult:
        self._tell(StepFailed(step, verdict))
        # Told to whoever resumes or aborts it: nothing of what it rests on was taken back.
        stands = bool(step.rollback) and not rollback
        told: dict[str, Any] = {"reason": verdict.reason, "message": verdict.message}
        if stands or "stands" in record.detail:
            told["stands"] = stands
        left = list(rollback)
        try:
            # First, for whoever goes on after a death in the midst of it must doubt what is undone.
            await record.write(Phase.FAILED, **told)
            errors = await self._roll_back(left)
        except LockLostError:
            raise
        except ShipkeeperError as error:
            if not left:
                raise
            raise _not_taken_back(step, verdict, left, [error]) from error
        if errors:
            raise _not_taken_back(step, verdict, left, errors) from errors[0]
        self._schedule.give_back(rollback)
        state = "Blocked" if verdict.blocks else "Failed"
        return StepResult(step=step.id, state=state, verdict=verdict)

    async def _roll_back(self, left: list[str]) -> list[ShipkeeperError]:
        """Take each step back, or tell why not: on one target, or of one's ground, none after that.

        In `left` stay those that were not taken back.
        """
        kept: dict[str, ShipkeeperError] = {}
        needed: set[str] = set()
        for step in [self.plan.step(id_) for id_ in left]:
            if step.target in kept or step.id in needed:
                continue
            try:
                await self._undo(step)
            except (LockLostError, JournalError):
                raise
            except ShipkeeperError as error:
                kept[step.target] = error
                needed |= self.plan.grounds_of(step.id)
            else:
                left.remove(step.id)
        return list(kept.values())

    async def _undo(self, step: Step) -> None:
        record = self._records[step.id]
        if await self._actions[step.action].undo(step, record):
            await record.write(Phase.UNDONE)
            self._tell(StepUndone(step))

    async def abort(self) -> None:
        """Take back what can be taken back of an interrupted run, last step first.

        Once begun it can only be ended, for a step that is taken back may still look done. A target
        with a step that cannot be taken back yet is left as it is: BlockedError once all others
        are.
        """
        await self._journal.finish(self.id, Outcome.ABORTING)
        kept: dict[str, BlockedError] = {}
        # What a kept step rests on stays as well: taken back, it would make that look not done.
        needed: set[str] = set()
        for step in reversed(self.plan.steps):
            is_kept = step.target in kept or step.id in needed
            if not is_kept and self._records[step.id].is_begun:
                try:
                    await self._undo(step)
                except BlockedError as error:
                    kept[step.target] = error
                    is_kept = True
            if is_kept:
                needed.update(step.after)
        await self._settle()
        if kept:
            raise _still_kept(kept)
        await self._journal.finish(self.id, Outcome.ABORTED)

    def _result(self) -> RunResult:
        results = tuple(
            self._results.get(step.id, StepResult(step=step.id, state=Ending.SKIPPED))
            for step in self.plan.steps
        )
        return RunResult(run=self.id, outcome=_outcome(results, self.plan), steps=results)


def _outcome(results: tuple[StepResult, ...], plan: Plan) -> Outcome:
    states = {result.state for result in results}
    if "Failed" in states:
        return Outcome.FAILED
    if "Blocked" in states:
        return Outcome.BLOCKED
    is_whole = not plan.blockers and Ending.SKIPPED not in states
    return Outcome.SUCCEEDED if is_whole else Outcome.INCOMPLETE


def _still_kept(kept: Mapping[str, BlockedError]) -> BlockedError:
    first = next(iter(kept.values()))
    message = "; ".join(f"{target}: {error.message}" for target, error in sorted(kept.items()))
    return BlockedError(message, reason=first.reason, hint=first.hint)


def _not_taken_back(
    step: Step, verdict: Verdict, left: Sequence[str], errors: Sequence[ShipkeeperError]
) -> RollbackError:
    reasons = "; ".join(dict.fromkeys(error.message for error in errors))
    return RollbackError(
        f"step {step.id} failed ({verdict.message}), and what it rests on could not be taken back: "
        f"{reasons}; as they are stay: {', '.join(left)}",
        reason=errors[0].reason,
        hint=errors[0].hint or "run the same command again to go on, or give the run up",
    )
