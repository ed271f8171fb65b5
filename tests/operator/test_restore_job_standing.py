"""How a Restore stands that Jobs carry out."""

from datetime import UTC, datetime

import msgspec

from shipkeeper.operator.api.restores import RestoreSpec, RestoreStatus
from shipkeeper.operator.backups.job_verdict import TIME_LIMIT, HopelessJobError
from shipkeeper.operator.backups.restore_job_standing import (
    begun,
    is_untouched,
    needs_nobody,
    verdict,
)
from shipkeeper.operator.told import condition

_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_SPEC = RestoreSpec(repository="prod", backup="latest")


def test_what_a_job_refused_is_asked_anew_though_there_was_a_run() -> None:
    refused = condition("Planned", False, "NotReachable")
    before = RestoreStatus(observed_generation=1, run="restore-1", conditions=(refused,))
    assert needs_nobody(before, 1)
    assert not needs_nobody(begun(before, 1, "job-2", _NOW, is_deleted=False), 1)


def test_what_was_planned_stays_so() -> None:
    planned = condition("Planned", True, "Planned")
    before = RestoreStatus(run="restore-1", conditions=(planned,))
    after = begun(before, 1, "job-2", _NOW, is_deleted=False)
    assert [each.status for each in after.conditions if each.type == "Planned"] == ["True"]


def test_one_that_was_begun_and_awaits_approval_is_not_untouched() -> None:
    awaiting = RestoreStatus(phase="AwaitingApproval", attempts=1)
    assert is_untouched(_SPEC, awaiting)
    assert not is_untouched(_SPEC, msgspec.structs.replace(awaiting, started_at=_NOW))
    assert not is_untouched(msgspec.structs.replace(_SPEC, approved=True), awaiting)


def test_a_time_limit_is_final_for_whoever_worked() -> None:
    error = HopelessJobError("Job a took longer than its time limit", reason=TIME_LIMIT)
    before = begun(RestoreStatus(), 1, "a", _NOW, is_deleted=True)
    assert not isinstance(verdict(error, before), HopelessJobError)
    stopping = condition("Progressing", True, "Stopping")
    at_work = msgspec.structs.replace(before, conditions=(stopping,))
    assert verdict(error, at_work) is error
    held = condition("Progressing", True, "LockHeld", "a maintenance has it")
    waits = msgspec.structs.replace(before, conditions=(held,), message="a maintenance has it")
    told = verdict(error, waits)
    assert not isinstance(told, HopelessJobError)
    assert told.message.endswith("before it wrote anything: a maintenance has it")
