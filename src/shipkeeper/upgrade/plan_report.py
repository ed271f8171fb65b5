"""How the plan of an upgrade looks: hops, steps, what runs where word for word, the ways back."""

from datetime import datetime

from shipkeeper.engine.plan import Plan
from shipkeeper.engine.report import Column, Report, Table
from shipkeeper.model.words import counted
from shipkeeper.nodes.report import plan_report
from shipkeeper.upgrade.outlook import UpgradeOutlook, outlook_of

_WAVES = (Column("WAVE"), Column("SIZE"), Column("NODES"))
_RETURNS = (Column("UNTIL"), Column("WAY BACK"))


def upgrade_report(plan: Plan, now: datetime) -> Report:
    """The steps as of any plan, and what is an upgrade's own."""
    report = plan_report(plan, now)
    outlook = outlook_of(plan)
    if outlook is None:
        return report
    returns = tuple((each.until, each.way or f"none: {each.why}") for each in outlook.return_points)
    waves = tuple(
        (str(number), str(len(wave)), " ".join(wave))
        for number, wave in enumerate(outlook.node_waves, start=1)
    )
    return Report(
        value=report.value,
        body=(
            _summary(outlook),
            *report.body,
            Table(_WAVES, waves),
            _words(outlook),
            Table(_RETURNS, returns),
        ),
        names=report.names,
    )


def _summary(outlook: UpgradeOutlook) -> str:
    route = " -> ".join(outlook.hops) or "none"
    return (
        f"hops: {route}; {counted(outlook.drains, 'drain')}, no order has fewer; "
        f"{counted(outlook.states_proven, 'state')} looked at, all inside the skew policy"
    )


def _words(outlook: UpgradeOutlook) -> str:
    """Every command, below the host and the step that it belongs to."""
    lines: list[str] = []
    for step, found in outlook.commands.items():
        lines.append(f"on {found.host}, for {step}:")
        lines += [f"    {line}" for line in found.lines]
    return "\n".join(lines)
