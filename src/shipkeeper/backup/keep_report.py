"""How the check of a repository, and its pruning, look. Pure."""

from datetime import datetime

import msgspec

from shipkeeper.engine.report import Column, Report, Table
from shipkeeper.model.duration import format_age
from shipkeeper.store.findings import Report as Checked
from shipkeeper.store.prune import Pruned, PrunePlan
from shipkeeper.store.retention import RetentionPlan

_FINDINGS = (Column("REASON"), Column("BLOB"), Column("BACKUPS"), Column("MESSAGE"))
_RETENTION = (Column("BACKUP"), Column("AGE"), Column("ACTION"), Column("KEPT-BY"))


class PruneOutcome(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which backups stay and go, and which blobs."""

    keep: dict[str, tuple[str, ...]]
    forget: tuple[str, ...]
    blobs: PrunePlan | Pruned


def check_report(checked: Checked) -> Report:
    """What was looked at, and a line for each finding; those that harm nobody are marked."""
    rows = tuple(
        (
            f"{each.reason} (harmless)" if each.harmless else each.reason,
            each.blob,
            ",".join(each.backups) or "-",
            each.message,
        )
        for each in checked.findings
    )
    depth = (
        "every object decrypted"
        if checked.depth == "content"
        else "hashes and signatures only, as there is no identity to decrypt with"
    )
    said = (
        f"{checked.backups} backups, {checked.objects} objects in {checked.blobs} blobs of "
        f"{checked.bytes} bytes: {depth}"
    )
    return Report(
        value=checked,
        body=(Table(_FINDINGS, rows), said),
        names=tuple(each.blob for each in checked.findings),
    )


def prune_report(
    retention: RetentionPlan | None, blobs: PrunePlan | Pruned, now: datetime
) -> Report:
    """Which backups are forgotten, and how many bytes become free."""
    kept = retention.keep if retention else ()
    gone = retention.forget if retention else ()
    return Report(
        value=PruneOutcome(
            keep={each.backup.name: each.reasons for each in kept},
            forget=tuple(each.name for each in gone),
            blobs=blobs,
        ),
        body=(retention_table(retention, now), _freed(blobs)),
        names=tuple(f"backup/{each.name}" for each in gone),
    )


def retention_table(retention: RetentionPlan | None, now: datetime) -> Table:
    """A line for each backup: whether it stays, and why."""
    if retention is None:
        return Table(_RETENTION, ())
    rows = [
        (each.backup.name, format_age(now - each.backup.created), "Keep", ", ".join(each.reasons))
        for each in retention.keep
    ]
    rows += [
        (each.name, format_age(now - each.created), "Forget", "-") for each in retention.forget
    ]
    return Table(_RETENTION, tuple(rows))


def _freed(blobs: PrunePlan | Pruned) -> str:
    match blobs:
        case PrunePlan():
            return (
                f"{len(blobs.sweep)} blobs of {blobs.sweep_bytes} bytes would be removed now, "
                f"{len(blobs.mark)} of {blobs.mark_bytes} bytes once their grace is over"
            )
        case Pruned():
            refused = f", {len(blobs.refused)} are locked" if blobs.refused else ""
            return (
                f"{len(blobs.swept)} blobs of {blobs.swept_bytes} bytes removed, "
                f"{len(blobs.marked)} marked to be removed once their grace is over{refused}"
            )
