"""A schedule as units of systemd: a timer, and the service that it starts. Pure."""

from collections.abc import Iterator

import msgspec

from shipkeeper.backup.schedule import Schedule
from shipkeeper.errors import UsageError
from shipkeeper.model.cron import CronError, CronFields, fields_of

_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_FOLDER = "/etc/systemd/system"


class UnitOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The units' name, the whole command, and the folders that it writes to beside its state."""

    name: str
    command: tuple[str, ...]
    writes: tuple[str, ...] = ()


def units(schedule: Schedule, options: UnitOptions) -> str:
    """Timer and service, each below the path of its file.

    UsageError for days that systemd cannot be told.
    """
    return f"{_service(options)}\n{_timer(schedule, options)}"


def _service(options: UnitOptions) -> str:
    writes = "".join(f"ReadWritePaths={_quoted(each)}\n" for each in options.writes)
    return f"""\
# {_FOLDER}/{options.name}.service
[Unit]
Description=A backup of a Kubernetes cluster
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={" ".join(map(_quoted, options.command))}
# The object store's credentials, such as AWS_ACCESS_KEY_ID=…
EnvironmentFile=-/etc/shipkeeper/{options.name}.env
Environment=XDG_STATE_HOME=/var/lib
StateDirectory=shipkeeper
StateDirectoryMode=0700
{writes}# Stopped on purpose is no failure.
SuccessExitStatus=130
NoNewPrivileges=yes
PrivateTmp=yes
ProtectSystem=strict
ProtectHome=read-only
"""


def _timer(schedule: Schedule, options: UnitOptions) -> str:
    times = "\n".join(f"OnCalendar={each}" for each in calendar_of(schedule))
    persistent = "yes" if schedule.missed == "run" else "no"
    return f"""\
# {_FOLDER}/{options.name}.timer
# systemctl daemon-reload, then systemctl enable --now {options.name}.timer
[Unit]
Description=Backups of a Kubernetes cluster

[Timer]
{times}
AccuracySec=1s
RandomizedDelaySec={int(schedule.jitter.total_seconds())}s
Persistent={persistent}

[Install]
WantedBy=timers.target
"""


def calendar_of(schedule: Schedule) -> tuple[str, ...]:
    """The expression in the words of systemd.time(7); two lines if either of two days counts."""
    try:
        fields = fields_of(schedule.cron.expression)
    except CronError as error:
        raise UsageError(
            f"a timer cannot follow {schedule.cron.expression!r}: it {error.message}",
            reason="InvalidSchedule",
            hint=error.hint,
        ) from error
    return tuple(f"{days} {_time(fields)} {schedule.cron.zone}" for days in _days(fields))


def _days(fields: CronFields) -> Iterator[str]:
    weekdays = ""
    if fields.weekdays is not None:
        weekdays = ",".join(_WEEKDAYS[each] for each in fields.weekdays) + " "
    months = _listed(fields.months)
    if fields.either_day and fields.weekdays is not None and fields.days is not None:
        yield f"*-{months}-{_listed(fields.days)}"
        yield f"{weekdays}*-{months}-*"
    elif fields.either_day:
        # One of the two is every day, so that the other says nothing.
        yield f"*-{months}-*"
    else:
        yield f"{weekdays}*-{months}-{_listed(fields.days)}"


def _time(fields: CronFields) -> str:
    return f"{_listed(fields.hours)}:{_listed(fields.minutes)}:00"


def _listed(numbers: tuple[int, ...] | None) -> str:
    return "*" if numbers is None else ",".join(f"{each:02}" for each in numbers)


def _quoted(word: str) -> str:
    """A word of ExecStart (systemd.syntax(7)): specifiers and variables mean nothing in it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != word or not word or set(word) & set(" \t'*;") else word
