"""The metrics of a schedule of backups, made of what is remembered of it. Pure."""

from collections.abc import Iterator

from shipkeeper.backup.schedule import Remembered
from shipkeeper.engine.exposition import Metric, Series, expose

_STEPS = ("backup", "prune", "verify")


def schedule_metrics(schedule: str, repository: str, remembered: Remembered) -> str:
    """Everything in the text format, labelled by schedule and repository; times in Unix seconds.

    What did not happen yet is missing.
    """
    labels = {"schedule": schedule, "repository": repository}
    return expose(_metrics(labels, remembered))


def _metrics(labels: dict[str, str], seen: Remembered) -> Iterator[Metric]:
    def gauge(name: str, words: str, value: float | None) -> Metric:
        series = (Series(value, labels),) if value is not None else ()
        return Metric(name=f"shipkeeper_backup_{name}", type="gauge", help=words, series=series)

    success = seen.last_success.timestamp() if seen.last_success else None
    attempt = seen.last_attempt.timestamp() if seen.last_attempt else None
    was_made = seen.last_duration > 0
    yield gauge("last_success_timestamp_seconds", "When a complete backup was last made.", success)
    yield gauge("last_attempt_timestamp_seconds", "When a backup was last begun.", attempt)
    yield gauge(
        "last_duration_seconds",
        "How long the last backup took.",
        seen.last_duration if was_made else None,
    )
    yield gauge("objects", "Objects in the last backup.", float(seen.objects) if was_made else None)
    yield gauge(
        "added_bytes",
        "Bytes that the last backup added to the repository.",
        float(seen.added_bytes) if was_made else None,
    )
    yield gauge(
        "incomplete",
        "1 if the last backup lacks something that was to be in it.",
        float(seen.incomplete) if was_made else None,
    )
    yield Metric(
        name="shipkeeper_backup_failures_total",
        type="counter",
        help="Backups that failed or are incomplete, and prunes and verifications that failed.",
        series=tuple(
            Series(float(seen.failures.get(step, 0)), {**labels, "step": step}) for step in _STEPS
        ),
    )
