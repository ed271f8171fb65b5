"""The table of certificates, and the metric of when they end. Pure."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from shipkeeper.access.certs.certificate import Certificate
from shipkeeper.access.certs.survey import Kind, Survey
from shipkeeper.engine.exposition import Metric, Series, expose
from shipkeeper.engine.finding import Unchecked
from shipkeeper.engine.report import Column, Report, Table
from shipkeeper.model.duration import format_age
from shipkeeper.model.words import counted


class Row(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One certificate at one place, as `certs list` shows it."""

    kind: Kind
    target: str
    purpose: str = ""
    subject: str
    issuer: str
    serial: str
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...] = ()
    key: str
    signature: str
    usages: tuple[str, ...] = ()
    is_authority: bool = False
    tls_versions: tuple[str, ...] = ()
    sha256: str


class Listed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Every certificate, what ends first at the top, and what could not be looked at."""

    items: tuple[Row, ...]
    unchecked: tuple[Unchecked, ...]


def listed(survey: Survey) -> Listed:
    """The certificates of a survey in a row each; of a chain its first, of a bundle all."""
    rows = sorted(_rows(survey), key=lambda each: (each.not_after, each.kind, each.target))
    return Listed(items=tuple(rows), unchecked=survey.unchecked)


def _rows(survey: Survey) -> Iterator[Row]:
    for each in survey.sightings:
        shown = each.chain if each.is_bundle else each.chain[:1]
        for certificate in shown:
            yield _row(each.kind, each.target, each.purpose, certificate)
    for port, seen in survey.ports:
        for certificate in seen.chain[:1]:
            row = _row(Kind.PORT, port.target, port.role.value, certificate)
            yield msgspec.structs.replace(row, tls_versions=seen.versions)


def _row(kind: Kind, target: str, purpose: str, found: Certificate) -> Row:
    return Row(
        kind=kind,
        target=target,
        purpose=purpose,
        subject=found.subject,
        issuer=found.issuer,
        serial=found.serial,
        not_before=found.not_before,
        not_after=found.not_after,
        names=found.names,
        key=f"{found.key} {found.key_bits}",
        signature=found.signature,
        usages=tuple(found.usages or ()),
        is_authority=found.is_authority,
        sha256=found.fingerprint,
    )


_COLUMNS = (
    *(Column(title) for title in ("KIND", "TARGET", "SUBJECT", "ENDS", "KEY")),
    *(Column(title, wide=True) for title in ("NOT AFTER", "ISSUER", "SERIAL", "FOR", "NAMES")),
    *(Column(title, wide=True) for title in ("SIGNATURE", "TLS")),
)
_UNCHECKED = (Column("NOT CHECKED"), Column("WHY"))


def certificates_report(found: Listed, now: datetime) -> Report:
    """A table of certificates, then what could not be looked at."""
    unchecked = tuple((each.what, each.why) for each in found.unchecked)
    return Report(
        value=found,
        body=(
            Table(_COLUMNS, tuple(_cells(each, now) for each in found.items)),
            Table(_UNCHECKED, unchecked),
            f"{counted(len(found.items), 'certificate')}, {len(found.unchecked)} not checked",
        ),
        names=tuple(f"{each.kind}/{each.target}" for each in found.items),
    )


def _cells(row: Row, now: datetime) -> tuple[str, ...]:
    ends = row.not_after - now
    left = format_age(ends) if ends.total_seconds() >= 0 else f"{format_age(-ends)} ago"
    what = "authority" if row.is_authority else ",".join(row.usages) or "any"
    return (
        row.kind,
        row.target,
        row.subject,
        left,
        row.key,
        row.not_after.isoformat(timespec="seconds"),
        row.issuer,
        row.serial,
        what,
        ",".join(row.names),
        row.signature,
        ",".join(row.tls_versions),
    )


def expiry_metric(rows: Iterable[Row]) -> str:
    """When each certificate ends, for Prometheus; one value for each place and serial."""
    series = {
        (each.kind, each.target, each.serial): Series(
            each.not_after.timestamp(),
            {
                "kind": each.kind,
                "target": each.target,
                "subject": each.subject,
                "serial": each.serial,
            },
        )
        for each in rows
    }
    metric = Metric(
        name="certificate_expiry_seconds",
        type="gauge",
        help="Unix time at which a certificate ends.",
        series=tuple(series.values()),
    )
    return expose([metric])
