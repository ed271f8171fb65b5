"""Removed and deprecated APIs in use: four kinds of evidence, put together; pure.

None of them is proof alone. What a manifest or a Helm release says will fail for certain when it is
applied again. managedFields and last-applied name who wrote an object, but not whether they still
do. The metric says that somebody asked since the API server started, but the control plane's own
controllers ask for the preferred version of every kind, so of those it proves nothing.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from shipkeeper.engine.finding import Finding, Severity
from shipkeeper.upgrade.catalog import Catalog, Removal
from shipkeeper.upgrade.check.evidence import Asked, Evidence, Seen, Use

# Written by hand or by a pipeline that will write it again.
_CERTAIN = frozenset({Seen.MANIFEST, Seen.HELM, Seen.APPLIED})
# Clients that are a part of the control plane: they go to new versions with it.
_OWN = (
    *("kube-controller-manager", "kube-scheduler", "kube-apiserver", "kubelet", "kube-proxy"),
    *("api-priority-and-fairness", "cloud-controller-manager"),
)


def judge_apis(evidence: Evidence, target: int, catalog: Catalog) -> Iterator[Finding]:
    """Every API in use that the target does not serve, and, of less weight, those it deprecates."""
    asked = _asked(evidence)
    told: set[tuple[str, str]] = set()
    for (removal, subject), uses in _by_subject(evidence.uses, catalog).items():
        place = (removal.api_version, removal.kind)
        is_gone = removal.removed <= target
        if is_gone or _is_deprecated(removal, target):
            told.add(place)
            yield _finding(removal, subject, uses, evidence, asked.get(place), is_gone=is_gone)
    for place, each in asked.items():
        removal = catalog.removal_of.get(place)
        if removal is not None and removal.removed <= target and place not in told:
            yield _only_asked(removal, each, evidence)
    yield from _lost(evidence, target, catalog)


def _by_subject(uses: Sequence[Use], catalog: Catalog) -> dict[tuple[Removal, str], list[Use]]:
    found: defaultdict[tuple[Removal, str], list[Use]] = defaultdict(list)
    lost = {use.target for use in uses if use.seen is Seen.STORED}
    for use in uses:
        removal = catalog.removal_of.get((use.api_version, use.kind))
        if removal is not None and use.target not in lost and not _is_own(use):
            found[removal, use.target].append(use)
    return found


def _is_own(use: Use) -> bool:
    """Whether a part of the control plane wrote it."""
    return use.seen is Seen.FIELDS and use.who.startswith(_OWN)


def _is_deprecated(removal: Removal, target: int) -> bool:
    return 0 < removal.deprecated <= target


def _finding(
    removal: Removal,
    subject: str,
    uses: list[Use],
    evidence: Evidence,
    asked: Asked | None,
    *,
    is_gone: bool,
) -> Finding:
    who = tuple(dict.fromkeys(use.who for use in uses if use.who))
    lines = [_line(use) for use in uses]
    if asked is not None:
        lines.append("asked for since the API server started (its metric)")
    severity = _severity(removal, uses, evidence, asked) if is_gone else Severity.LOW
    when = f"1.{removal.removed} no longer serves" if is_gone else "is deprecated in the target:"
    place = next((use.place for use in uses if use.place), "")
    return Finding(
        rule="RemovedApi" if is_gone else "DeprecatedApi",
        severity=severity,
        target=f"{subject} ({removal.api_version})",
        message=f"{when} {removal.api_version} {removal.kind}",
        evidence=(*lines, f"source: {removal.source}"),
        who=who,
        remedy=_remedy(removal),
        place=place,
    )


def _severity(
    removal: Removal, uses: list[Use], evidence: Evidence, asked: Asked | None
) -> Severity:
    if any(use.seen in _CERTAIN for use in uses):
        return Severity.HIGH
    if asked is not None:
        return Severity.HIGH
    # The metric counts what this server's minor deprecates. If it does and nobody asked since the
    # API server started, the fields may be older than that.
    is_counted = 0 < removal.deprecated <= evidence.versions.server_version.minor
    return Severity.LOW if evidence.asked is not None and is_counted else Severity.MEDIUM


def _line(use: Use) -> str:
    when = f" at {use.at:%Y-%m-%d %H:%M}" if use.at else ""
    match use.seen:
        case Seen.FIELDS:
            return f"managedFields: {use.who} wrote it as {use.api_version}{when}"
        case Seen.APPLIED:
            return f"last applied as {use.api_version} (kubectl's annotation)"
        case Seen.HELM:
            return f"Helm {use.who} holds it as {use.api_version}"
        case _:
            return f"{use.place or use.who} has it as {use.api_version}"


def _only_asked(removal: Removal, asked: Asked, evidence: Evidence) -> Finding:
    """What is known by the metric alone."""
    is_own = (removal.api_version, removal.kind) in evidence.preferred
    why = "; the server prefers it, so its own controllers ask for it, too" if is_own else ""
    return Finding(
        rule="RemovedApi",
        severity=Severity.LOW if is_own else Severity.HIGH,
        target=f"{asked.resource} ({removal.api_version})",
        message=f"1.{removal.removed} no longer serves {removal.api_version} {removal.kind}",
        evidence=(
            f"asked for since the API server started (its metric){why}",
            f"source: {removal.source}",
        ),
        who=() if is_own else ("unknown: the audit log names who asks",),
        remedy=_remedy(removal),
    )


def _asked(evidence: Evidence) -> dict[tuple[str, str], Asked]:
    """What was asked for, by apiVersion and kind."""
    kinds = {(version, plural): kind for (version, kind), plural in evidence.served.items()}
    found: dict[tuple[str, str], Asked] = {}
    for each in evidence.asked or ():
        version = f"{each.group}/{each.version}" if each.group else each.version
        kind = kinds.get((version, each.resource))
        if kind is not None:
            found[version, kind] = each
    return found


def _lost(evidence: Evidence, target: int, catalog: Catalog) -> Iterator[Finding]:
    """Stored objects of kinds that the target has in no version: nobody can read them then."""
    for use in evidence.uses:
        removal = catalog.removal_of.get((use.api_version, use.kind))
        if use.seen is Seen.STORED and removal is not None and removal.removed <= target:
            yield Finding(
                rule="KindLost",
                severity=Severity.HIGH,
                target=use.target,
                message=f"1.{removal.removed} has no {removal.kind} in any version: "
                "what it does ends, and the object can no longer be read or deleted",
                evidence=("it is stored", f"source: {removal.source}"),
                who=(use.who,) if use.who else (),
                remedy="replace what it does, back it up and delete it before the upgrade",
            )


def ends_without_successor(removal: Removal, target: int, catalog: Catalog) -> bool:
    """Whether the target serves a kind in no version, by its chain of successors."""
    seen: set[str] = set()
    while removal.removed <= target:
        if not removal.replacement or removal.replacement in seen:
            return True
        seen.add(removal.replacement)
        version, _, kind = removal.replacement.rpartition(" ")
        following = catalog.removal_of.get((version, kind))
        if following is None:
            return False
        removal = following
    return False


def _remedy(removal: Removal) -> str:
    if not removal.replacement:
        return f"there is no successor: stop using {removal.kind}"
    return f"use {removal.replacement}, in what is stored, in manifests and in clients"
