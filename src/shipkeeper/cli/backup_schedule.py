"""`shipkeeper backup schedule`: backups by cron expression, here or by somebody else's clock."""

import asyncio
import signal
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from shipkeeper.backup.memory import Memory, remembering
from shipkeeper.backup.opening import Place, open_repository
from shipkeeper.backup.schedule import Schedule, coming, require_sense
from shipkeeper.backup.schedule_metrics import schedule_metrics
from shipkeeper.backup.schedule_report import preview_report, times_table
from shipkeeper.backup.scheduling import Follower
from shipkeeper.cli.backup_flags import EVERYTHING, HERE, RepositoryFlags, SelectionFlags
from shipkeeper.cli.backup_keep import KEEP_ALL, KeepFlags
from shipkeeper.cli.backup_occasion import Occasion, Told, WallClock
from shipkeeper.cli.backup_take import DryRun
from shipkeeper.cli.flags import CURRENT, Cluster, Output
from shipkeeper.cli.metrics import UNMEASURED, MetricsFlags
from shipkeeper.cli.output import say, show
from shipkeeper.cli.schedule_emit import Command, emit
from shipkeeper.cli.schedule_flags import FOLLOWED_HERE, PUNCTUALLY, EmitFlags, TimeFlags
from shipkeeper.cli.spelling import spelled
from shipkeeper.cli.volume_flags import LISTED, OVER_SSH, HostFlags, VolumeFlags
from shipkeeper.engine.report import Format, Report, render
from shipkeeper.errors import BlockedError, InterruptedRunError
from shipkeeper.model.duration import parse_duration
from shipkeeper.paths import state_dir
from shipkeeper.store import retention
from shipkeeper.store.errors import UnreachableError

_SHOWN = 5


async def schedule(
    cron: str,
    zone: str = "UTC",
    /,
    *,
    once: Annotated[
        bool, Parameter(help="Make one backup now and end: for CronJobs and timers.")
    ] = False,
    dry_run: DryRun = "none",
    output: Output = None,
    times: TimeFlags = PUNCTUALLY,
    objects: SelectionFlags = EVERYTHING,
    volumes: VolumeFlags = LISTED,
    hosts: HostFlags = OVER_SSH,
    keep: KeepFlags = KEEP_ALL,
    repository: RepositoryFlags = HERE,
    metrics: MetricsFlags = UNMEASURED,
    cluster: Cluster = CURRENT,
    emitted: EmitFlags = FOLLOWED_HERE,
) -> None:
    """Back a cluster up whenever a cron expression says so ('0 3 * * *' Europe/Berlin).

    After each complete backup the repository is pruned if a --keep flag is given. A backup that
    fails or is incomplete is told and counted, and the schedule goes on. Ctrl-C and SIGTERM end it.
    """
    planned = times.schedule(cron, zone)
    require_sense(planned, datetime.now(UTC))
    place, policy, selection = repository.place(), keep.policy(), objects.selection()
    grace = parse_duration(times.grace)
    if policy is not None:
        retention.plan((), policy)
    if emitted.emit:
        command = Command(
            planned, times, objects, volumes, hosts, keep, repository, metrics, cluster
        )
        await emit(command, emitted, output)
        return
    if dry_run == "client":
        await _preview(planned, place, policy, output)
        return
    work = Occasion(
        cluster.options(),
        place,
        selection,
        volumes.options(),
        hosts.opening,
        policy,
        grace,
        output,
        once=once,
    )
    memory_file = _memory_of(planned, place, spelled(objects, volumes, cluster))
    await _follow(planned, place, work, memory_file, metrics, once=once)


async def _follow(
    planned: Schedule,
    place: Place,
    work: Occasion,
    memory_file: Path,
    metrics: MetricsFlags,
    *,
    once: bool,
) -> None:
    """Make one backup now, or one whenever it is time; BlockedError when no time is left."""
    with _ending_cleanly(work), remembering(memory_file) as memory:
        follower = Follower(planned, work, memory, WallClock(), Told())
        async with metrics.exposing(lambda: _metrics_of(planned, place, memory)):
            if once:
                if failed := await follower.once():
                    raise failed
                return
            await _check(place)
            _introduce(planned)
            await follower.follow()
    raise BlockedError(
        "the schedule has no further time within ten years",
        reason="ScheduleOver",
        hint="write one that comes again",
    )


def _metrics_of(planned: Schedule, place: Place, memory: Memory) -> str:
    return schedule_metrics(str(planned.cron), place.url, memory.seen)


def _memory_of(planned: Schedule, place: Place, taken: tuple[str, ...]) -> Path:
    """A file for each schedule of a repository, for what it takes and from where."""
    where = place.url if "://" in place.url else str(Path(place.url).absolute())
    about = (str(planned.cron), where, *taken)
    digest = sha256(msgspec.json.encode(about)).hexdigest()[:16]
    return state_dir() / "schedules" / f"{digest}.json"


async def _preview(
    planned: Schedule, place: Place, policy: retention.Policy | None, output: str | None
) -> None:
    now = datetime.now(UTC)
    async with open_repository(place) as opened:
        backups = [each for each in await opened.backups() if not each.kind]
    next_times = list(islice(coming(planned, now), _SHOWN))
    show(preview_report(planned, next_times, backups, policy, now), output)


async def _check(place: Place) -> None:
    """What is wrong with the repository or its keys is said now, and not at three in the night."""
    try:
        async with open_repository(place):
            pass
    except UnreachableError as error:
        say(f"Warning: {error.message}; tried again at the next time")


def _introduce(planned: Schedule) -> None:
    now = datetime.now(UTC)
    table = times_table(planned, list(islice(coming(planned, now), _SHOWN)), now)
    say(render(Report(value=None, body=(table,)), Format.TEXT).rstrip("\n"))


@contextmanager
def _ending_cleanly(work: Occasion) -> Generator[None]:
    """SIGTERM ends like Ctrl-C: what is at work is cancelled, and nothing of it is visible."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is None:
        raise AssertionError("a command runs in a task")
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        yield
    except asyncio.CancelledError:
        raise InterruptedRunError(
            f"interrupted {work.stage}",
            reason="Interrupted",
            hint="go on with the same command; see what there is with: shipkeeper backup list",
        ) from None
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
