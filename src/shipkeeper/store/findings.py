"""What verify finds: values, and how one thing found in several places becomes one line."""

from collections.abc import Iterable

import msgspec


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something wrong: `reason` is CamelCase (Missing, Altered, Unexpected, …).

    `blob` is the name in the store, `backups` those that need it. `harmless` marks what an
    interrupted run leaves behind: no backup needs it, prune removes it.
    """

    reason: str
    blob: str
    message: str
    backups: tuple[str, ...] = ()
    harmless: bool = False


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What verify did and found.

    `depth` is `content` with the reader's key; without it `structure`: every blob is still checked
    against its hash or signature, but no object is decrypted.
    """

    depth: str
    backups: int
    blobs: int
    bytes: int
    objects: int
    findings: tuple[Finding, ...]


ALTERED = "Altered"
MISSING = "Missing"
UNEXPECTED = "Unexpected"
UNFINISHED = "Unfinished"
CONTRADICTION = "Contradiction"


def altered(blob: str, backups: Iterable[str] = ()) -> Finding:
    """Its bytes are not those that its name or its signature promises."""
    return Finding(
        reason=ALTERED,
        blob=blob,
        message="its bytes are not what was written",
        backups=tuple(sorted(backups)),
    )


def merged(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One finding for each blob and message, with all backups that any of them names."""
    groups: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        key = (finding.blob, finding.reason, finding.message)
        known = groups.get(key)
        if known is None:
            groups[key] = finding
            continue
        names = sorted({*known.backups, *finding.backups})
        groups[key] = msgspec.structs.replace(
            known, backups=tuple(names), harmless=known.harmless and finding.harmless
        )
    return tuple(sorted(groups.values(), key=lambda f: (f.harmless, f.blob, f.message)))
