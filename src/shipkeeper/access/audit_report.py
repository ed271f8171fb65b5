"""What an audit looks like as text. Pure."""

from shipkeeper.access.audit import Audit
from shipkeeper.access.finding import Finding, Outcome
from shipkeeper.engine.report import Column, Report, Table


def audit_report(made: Audit) -> Report:
    """Fails as a table, the ways with their steps, then how many there are of each answer."""
    fails = made.of(Outcome.FAIL)
    columns = (
        *(Column(title) for title in ("SEVERITY", "ID", "TARGET", "WHAT")),
        Column("REMEDY", wide=True),
    )
    rows = tuple(_row(each) for each in fails)
    ways = "\n".join(_way(each) for each in fails if each.steps and not each.accepted)
    counts = ", ".join(f"{len(made.of(outcome))} {outcome.value}" for outcome in Outcome)
    gaps = "\n".join(f"  {each.id}: {each.message}" for each in made.of(Outcome.NOT_EVALUATED))
    return Report(
        value=made,
        body=(
            Table(columns, rows),
            f"Ways to more power:\n{ways}" if ways else "",
            f"Not evaluated:\n{gaps}" if gaps else "",
            counts,
        ),
        names=tuple(f"{each.id}/{each.target}" for each in fails),
    )


def _row(finding: Finding) -> tuple[str, ...]:
    told = "" if finding.steps or not finding.message else f": {finding.message}"
    what = f"{finding.title}{told}"
    severity = "accepted" if finding.accepted else finding.severity.value
    return (severity, finding.id, finding.target, what, finding.remedy)


def _way(finding: Finding) -> str:
    steps = " → ".join(finding.steps)
    breaks = f"\n    that takes from {'; '.join(finding.breaks[:3])}" if finding.breaks else ""
    return f"  {finding.target} {finding.title}\n    {steps}\n    {finding.remedy}{breaks}"
