"""BackupSchedules: each time one Backup, whoever leads; what is kept, and when all is checked."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipkeeper.backup.contents import Contents, Unreadable
from shipkeeper.backup.selection import Selection
from shipkeeper.errors import UsageError
from shipkeeper.kube.writer import Writer
from shipkeeper.operator.api.backups import (
    BACKUP,
    BACKUP_SCHEDULE,
    BackupScheduleSpec,
    BackupScheduleStatus,
    BackupStatus,
    BackupTimes,
    BegunWith,
    Retention,
    Verified,
)
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.backups.schedule_standing import (
    OwnBackup,
    backup_name,
    delay_of,
    heeded,
    let_go,
    mended,
    next_check,
    occasion,
    of_no_use,
    policy_of,
    schedule_of,
    standing,
    stored_in,
    surplus,
)
from shipkeeper.operator.backups.standing import (
    REPOSITORY_CHANGED,
    begun,
    goes_on,
    left_until,
    waiting,
)
from shipkeeper.store.retention import Policy
from shipkeeper.store.values import Backup
from tests.operator.harbour import ACCOUNT, Harbour
from tests.operator.vault import Vault, stands

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
NIGHTS = BackupScheduleSpec(schedule=BackupTimes(cron="0 3 * * *"), repository="x")
SOME = {"kinds": ["configmaps"]}


def own(number: int, phase: str) -> OwnBackup:
    body = {"metadata": {"name": f"b{number}", "creationTimestamp": NOON.isoformat()}}
    found = msgspec.json.decode(msgspec.json.encode(body), type=CustomObject)
    return OwnBackup(found, BackupStatus(phase=phase, message=f"m{number}", finished_at=NOON))


def test_a_missed_time_is_made_up_for_once_or_left_out() -> None:
    days_ago = NOON - timedelta(days=5)
    run = occasion(schedule_of(NIGHTS, NOON), "u", days_ago, NOON, is_busy=False)
    assert (run.at, run.is_over, run.is_made) == (NOON.replace(hour=3), True, True)
    skipping = msgspec.structs.replace(NIGHTS, missed="skip")
    skip = occasion(schedule_of(skipping, NOON), "u", days_ago, NOON, is_busy=False)
    assert (skip.at, skip.is_over, skip.is_made) == (run.at, True, False)
    assert run.at is not None
    later = occasion(schedule_of(NIGHTS, NOON), "u", run.at, NOON, is_busy=False)
    assert (later.at, later.is_over) == (NOON.replace(day=27, hour=3), False)


def test_a_time_passes_while_the_last_backup_goes_on() -> None:
    due = occasion(schedule_of(NIGHTS, NOON), "u", NOON - timedelta(days=1), NOON, is_busy=True)
    assert (due.is_over, due.is_made) == (True, False)


def test_a_backup_that_waits_for_a_repository_that_is_gone_holds_no_other_up() -> None:
    id_ = BegunWith(repository="vault", repository_id="r")
    running = begun(BackupStatus(), 1, "b", id_, NOON)
    for status in (BackupStatus(), running, waiting(running, 1, "RepositoryNotFound", "", NOON)):
        assert goes_on(status)
    assert not goes_on(waiting(running, 1, REPOSITORY_CHANGED, "", NOON))
    assert not goes_on(BackupStatus(phase="Completed"))


def test_the_jitter_is_the_same_for_every_leader_and_differs_between_schedules() -> None:
    spec = msgspec.structs.replace(NIGHTS, jitter="1h")
    schedule = schedule_of(spec, NOON)
    delays = {delay_of(schedule, str(number)) for number in range(20)}
    assert len(delays) == 20
    assert all(timedelta(0) <= each < timedelta(hours=1) for each in delays)
    assert delay_of(schedule, "a") == delay_of(schedule_of(spec, NOON), "a")
    with pytest.raises(UsageError, match="jitter"):
        schedule_of(msgspec.structs.replace(NIGHTS, jitter="24h"), NOON)


def test_a_clock_that_was_ahead_does_not_stop_the_schedule() -> None:
    ahead = NOON + timedelta(days=400)
    schedule = schedule_of(NIGHTS, NOON)
    due = occasion(schedule, "u", ahead, NOON, is_busy=False)
    assert due.at == NOON.replace(day=27, hour=3)
    # By itself that time is never over; counted from now on it is, once it has come.
    checked = Verified(at=ahead, depth="content", findings=1)
    before = mended(BackupScheduleStatus(last_schedule_at=ahead, verified=checked), NOON, NOON)
    assert before.last_schedule_at == NOON
    assert before.verified == msgspec.structs.replace(checked, at=NOON)
    later = NOON + timedelta(days=1)
    assert mended(before, NOON, later) == before
    due = occasion(schedule, "u", NOON, later, is_busy=False)
    assert (due.at, due.is_over) == (NOON.replace(day=27, hour=3), True)
    # One that was created by a server whose clock is ahead of ours.
    assert mended(BackupScheduleStatus(), ahead, NOON).last_schedule_at == NOON
    assert mended(BackupScheduleStatus(), NOON, NOON) == BackupScheduleStatus()


def test_a_pause_that_a_wrong_clock_told_is_over() -> None:
    assert left_until(NOON + timedelta(minutes=30), NOON) == timedelta(minutes=30)
    for moment in (None, NOON, NOON - timedelta(days=1), NOON + timedelta(days=1)):
        assert left_until(moment, NOON) == timedelta(0)


def test_checks_have_times_of_their_own() -> None:
    assert next_check(None, NOON, NOON).at is None
    sundays = BackupTimes(cron="0 5 * * sun")
    assert not next_check(sundays, NOON, NOON).is_over
    assert next_check(sundays, NOON - timedelta(days=8), NOON).is_over


def test_a_schedule_fails_when_its_last_backup_lacks_something() -> None:
    status = standing(
        BackupScheduleStatus(), 1, [own(1, "Completed"), own(2, "Incomplete")], None, {}, NOON
    )
    assert (status.phase, status.last_success_at) == ("Failing", NOON)
    assert "b2" in status.message
    error = UsageError("no", reason="Away", hint="wait")
    troubled = standing(
        BackupScheduleStatus(), 1, [own(1, "Completed")], None, {"Pruned": error}, NOON
    )
    assert (troubled.phase, troubled.message) == ("Failing", "no (wait)")
    assert (
        standing(BackupScheduleStatus(), 1, [own(3, "Running")], None, {}, NOON).phase == "Active"
    )


def test_failures_are_kept_for_a_while() -> None:
    failures = [own(number, "Failed") for number in range(8)]
    assert [each.name for each in surplus([*failures, own(9, "Completed")])] == ["b0", "b1", "b2"]
    assert policy_of(Retention(last=2, within="1h")).last == 2
    assert backup_name("x" * 253, NOON).endswith("-202611261200")


def made(name: str, hours: int, phase: str) -> OwnBackup:
    status = BackupStatus(phase=phase, id=name, finished_at=NOON + timedelta(hours=hours))
    return OwnBackup(own(hours, phase).object, status)


def test_no_other_takes_the_place_of_a_complete_backup() -> None:
    # Yesterday ended with one that is complete, one that is not, and one that others made.
    ours = [
        made("early", 8, "Completed"),
        made("whole", 9, "Completed"),
        made("torn", 10, "Incomplete"),
        made("today", 13, "Completed"),
    ]
    theirs = Backup(name="theirs", created=NOON + timedelta(hours=11))
    times = [(each.status.id, each.status.finished_at or NOON) for each in ours]
    stored = [*(Backup(name=name, created=at) for name, at in times), theirs]
    assert let_go(stored, ours, Policy(daily=2)) == ("torn", "early")
    assert let_go(stored, ours, Policy(last=1)) == ("theirs", "torn", "whole", "early")
    assert let_go([theirs], [], Policy(last=1)) == ()


def test_what_a_prune_took_away_takes_along_no_backup_that_was_made_since() -> None:
    here = BegunWith(repository="vault", repository_id="r")
    there = msgspec.structs.replace(here, repository_id="copy")

    def stored(name: str, begun_with: BegunWith | None, phase: str = "Completed") -> OwnBackup:
        status = BackupStatus(phase=phase, id=name, begun_with=begun_with)
        return OwnBackup(own(1, phase).object, status)

    mine = [stored("pruned", here), stored("lost", here), stored("before-the-upgrade", None)]
    others = [stored("pruned", there), stored("waits", here, "Waiting")]
    assert stored_in("r", [*mine, *others]) == {"pruned", "lost"}
    gone = frozenset({"pruned", "lost", "before-the-upgrade", "of-others"})
    since = [stored("made-since", here)]
    assert of_no_use([*mine, *others, *since], "r", gone) == mine


def test_what_a_schedule_of_another_name_left_incomplete_takes_no_place_either() -> None:
    whole = Contents(
        cluster="c",
        server="s",
        version="v1.37.2",
        began_at=NOON,
        revision="1",
        selection=Selection(),
        kinds=(),
    )
    lacking = (Unreadable(what="secrets", reason="Forbidden", message="no"),)
    torn = msgspec.structs.replace(whole, unreadable=lacking)
    stored = [
        Backup(name=name, created=NOON + timedelta(hours=hours), summary=msgspec.json.encode(each))
        for name, hours, each in (("whole", 9, whole), ("torn", 10, torn))
    ]
    assert let_go(stored, [], Policy(daily=1)) == ()


def test_times_that_pass_in_vain_are_told() -> None:
    status = BackupScheduleStatus(last_success_at=NOON)
    mine = [own(1, "Completed"), own(2, "Waiting")]
    for _ in range(2):
        status = heeded(status, NOON)
    assert standing(status, 1, mine, None, {}, NOON).phase == "Active"
    status = standing(heeded(status, NOON), 1, mine, None, {}, NOON)
    assert (status.phase, status.times_without_success) == ("Failing", 3)
    assert "Backup b2 is Waiting: m2" in status.message
    assert "no Backup of it" in standing(status, 1, [], None, {}, NOON).message
    later = BackupStatus(phase="Completed", finished_at=NOON + timedelta(hours=1))
    done = [*mine[:1], OwnBackup(mine[1].object, later)]
    status = standing(status, 1, done, None, {}, NOON)
    assert (status.phase, status.times_without_success) == ("Active", 0)


async def _due(harbour: Harbour, name: str, **spec: Any) -> datetime:
    """Create a schedule with one time in a year, which was a while ago."""
    at = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=1)
    asked = {
        "schedule": {"cron": f"{at.minute} {at.hour} {at.day} {at.month} *"},
        "repository": "vault",
        "objects": SOME,
        **spec,
    }
    await harbour.create(BACKUP_SCHEDULE, name, asked)
    await _heeded(harbour, name, at - timedelta(hours=1))
    return at


async def _heeded(harbour: Harbour, name: str, last: datetime) -> None:
    body = {"status": {"lastScheduleAt": last.strftime("%Y-%m-%dT%H:%M:%SZ")}}
    await Writer(harbour.connection).patch(
        BACKUP_SCHEDULE.resource, name, body, subresource="status"
    )


async def test_backups_are_made_pruned_and_checked(harbour: Harbour, vault: Vault) -> None:
    at = await _due(harbour, "nightly", keep={"last": 1})
    weekly = {"cron": f"{at.minute} {at.hour} {at.day} {at.month} *"}
    harbour.start()
    name = backup_name("nightly", at)
    first = await vault.ended(name)
    assert first.phase == "Completed"

    async def reaches(predicate: Callable[[BackupScheduleStatus], bool]) -> BackupScheduleStatus:
        return await stands(harbour, BACKUP_SCHEDULE, BackupScheduleStatus, "nightly", predicate)

    status = await reaches(lambda seen: seen.pruned_after == name)
    assert (status.phase, status.last_backup) == ("Active", name)
    assert status.last_success_at == first.finished_at
    # The same time again: its Backup is there already, and no second one comes.
    await _heeded(harbour, "nightly", at - timedelta(hours=1))
    await reaches(lambda seen: seen.last_schedule_at == at)
    assert len(await vault.backups()) == 1
    # Another complete one lets the first go, and its object with it.
    await harbour.kubectl("delete", "bs", "nightly")
    await vault.back_up("by-hand", objects=SOME)
    hand = await vault.ended("by-hand")
    at = await _due(harbour, "second", keep={"last": 1}, verify=weekly)
    second = await vault.ended(backup_name("second", at))
    await stands(
        harbour,
        BACKUP_SCHEDULE,
        BackupScheduleStatus,
        "second",
        lambda seen: seen.pruned_after != "",
    )
    assert [each.name for each in await vault.backups()] == [second.id]
    assert second.id not in (first.id, hand.id)


async def test_a_time_that_is_still_to_come_was_not_heeded(harbour: Harbour, vault: Vault) -> None:
    await _due(harbour, "ahead")
    now = datetime.now(UTC)
    await _heeded(harbour, "ahead", now + timedelta(days=400))
    harbour.start()

    def is_mended(seen: BackupScheduleStatus) -> bool:
        last = seen.last_schedule_at
        return last is not None and last < now + timedelta(days=1)

    await stands(harbour, BACKUP_SCHEDULE, BackupScheduleStatus, "ahead", is_mended)
    assert await vault.backups() == []


async def test_a_backup_that_cannot_be_created_is_told_and_made_later(
    harbour: Harbour, vault: Vault
) -> None:
    harbour.start()
    at = await _due(harbour, "warm-up")
    await vault.ended(backup_name("warm-up", at))
    role = '{"rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["list"]}]}'
    name = f"{ACCOUNT}-backups"
    await harbour.kubectl("patch", "clusterrole", name, "--type=merge", f"-p={role}")
    await _due(harbour, "barred")

    async def reaches(name: str, phase: str, word: str) -> BackupScheduleStatus:
        return await stands(
            harbour,
            BACKUP_SCHEDULE,
            BackupScheduleStatus,
            name,
            lambda seen: seen.phase == phase and word in seen.message,
        )

    status = await reaches("barred", "Failing", "create")
    assert {each.type: each.status for each in status.conditions}["Succeeding"] == "False"
    assert status.last_backup == ""
    assert ("barred", "Failing") in await harbour.events()
    await harbour.kubectl("delete", "clusterrole", name)
    await harbour.set_up(allowed=("backups",))
    await harbour.retire()
    harbour.start()
    await reaches("barred", "Active", "")
    # A Backup of somebody else has the name that a time's would have.
    at = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=1)
    await vault.back_up(backup_name("taken", at), objects=SOME)
    await _due(harbour, "taken")
    status = await reaches("taken", "Failing", "did not create")
    assert status.last_backup == ""


async def test_a_schedule_that_has_another_repository_loses_nothing_of_the_first(
    harbour: Harbour, vault: Vault
) -> None:
    harbour.start()
    at = await _due(harbour, "moving", keep={"last": 1})
    first = backup_name("moving", at)
    await vault.ended(first)
    other = await Vault(harbour, Path(vault.place.url).parent, "other").build()
    await other.back_up("of-others", objects=SOME)
    theirs = await other.ended("of-others")
    later = at + timedelta(minutes=10)
    cron = {"cron": f"{later.minute} {later.hour} {later.day} {later.month} *"}
    change = {"spec": {"repository": other.name, "schedule": cron}}
    await harbour.writer.patch(BACKUP_SCHEDULE.resource, "moving", change)
    second = await other.ended(backup_name("moving", later))
    status = await stands(
        harbour,
        BACKUP_SCHEDULE,
        BackupScheduleStatus,
        "moving",
        lambda seen: seen.pruned_after == backup_name("moving", later),
    )
    assert [each.name for each in await other.backups()] == [second.id]
    assert theirs.id != second.id
    assert len(await vault.backups()) == 1
    assert first in {each.name for each in (await harbour.reader.list(BACKUP.resource)).items}
    said = {each.type: each.message for each in status.conditions}
    assert "1 Backup in another repository" in said["Pruned"]


def _flip_a_byte(repository: Path) -> None:
    pack = next(each for each in sorted(repository.rglob("packs/*/*")) if each.is_file())
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(bytes(content))


async def test_damage_is_found_on_a_schedule(harbour: Harbour, vault: Vault) -> None:
    harbour.start()
    await vault.back_up("first", objects=SOME)
    await vault.ended("first")
    await asyncio.to_thread(_flip_a_byte, Path(vault.place.url))
    at = datetime.now(UTC) - timedelta(hours=1)
    yearly = {"cron": f"{at.minute} {at.hour} {at.day} {at.month} *"}
    spec = {"schedule": {"cron": "0 0 29 2 *"}, "repository": "vault", "verify": yearly}
    await harbour.create(BACKUP_SCHEDULE, "watch", spec)
    old = {"at": (at - timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")}
    await Writer(harbour.connection).patch(
        BACKUP_SCHEDULE.resource, "watch", {"status": {"verified": old}}, subresource="status"
    )
    status = await stands(
        harbour,
        BACKUP_SCHEDULE,
        BackupScheduleStatus,
        "watch",
        lambda seen: seen.verified is not None and seen.verified.findings > 0,
    )
    assert status.phase == "Failing"
    assert "finding" in status.message
    assert next(each.reason for each in status.conditions if each.type == "Verified") == "Damaged"


async def test_nonsense_is_told_and_a_suspended_schedule_rests(
    harbour: Harbour, vault: Vault
) -> None:
    harbour.start()
    times = {"cron": "0 26 * * *"}
    await harbour.create(BACKUP_SCHEDULE, "odd", {"schedule": times, "repository": "vault"})
    odd = await stands(
        harbour, BACKUP_SCHEDULE, BackupScheduleStatus, "odd", lambda seen: seen.phase == "Failing"
    )
    assert odd.conditions[0].status == "False"
    await _due(harbour, "asleep", suspend=True)
    status = await stands(
        harbour, BACKUP_SCHEDULE, BackupScheduleStatus, "asleep", lambda seen: seen.phase != ""
    )
    assert status.phase == "Suspended"
    assert (await harbour.reader.list(BACKUP.resource)).items == []


async def test_a_leader_that_dies_at_any_write_makes_one_backup_of_a_time(
    harbour: Harbour, vault: Vault
) -> None:
    dies_at = 0
    for dies_at in range(1, 40, 2):
        name = f"s{dies_at}"
        mortal = harbour.start(dies_at=dies_at)
        await mortal.leads()
        at = await _due(harbour, name)
        dying = asyncio.create_task(mortal.ends())
        ending = asyncio.create_task(
            stands(
                harbour,
                BACKUP_SCHEDULE,
                BackupScheduleStatus,
                name,
                lambda seen: seen.last_success_at is not None,
            )
        )
        await asyncio.wait((dying, ending), return_when=asyncio.FIRST_COMPLETED)
        is_dead = dying.done()
        if is_dead:
            harbour.start()
        else:
            mortal.kill()
            await dying
        status = await ending
        assert (status.last_schedule_at, status.last_backup) == (at, backup_name(name, at))
        found = (await harbour.reader.list(BACKUP.resource)).items
        assert len([each for each in found if each.name.startswith(f"{name}-")]) == 1
        await harbour.retire()
        if not is_dead:
            break
    assert dies_at > 3
    assert len(await vault.backups()) == (dies_at + 1) // 2
