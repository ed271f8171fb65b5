"""How the plan of a renewal looks. Pure."""

from datetime import datetime

from shipkeeper.access.certs.renew.plan import outlook_of
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.report import Column, Report, Table, describe

_STEPS = (Column("#"), Column("STEP"), Column("EFFECT"), Column("WAY BACK", wide=True))
_LEAVES = (
    *(Column("HOST"), Column("CERTIFICATE"), Column("ENDS"), Column("BY")),
    *(Column("FILE", wide=True), Column("SUBJECT", wide=True), Column("SHA256", wide=True)),
)


def renewal_report(plan: Plan, now: datetime) -> Report:
    """Which certificates, the steps, and where a way back finds what was there."""
    outlook = outlook_of(plan)
    leaves = tuple(
        (site.host, leaf.name, leaf.not_after, site.how, leaf.path, leaf.subject, leaf.sha256)
        for site in outlook.sites
        for leaf in site.leaves
    )
    steps = tuple(
        (str(number), step.id, step.effect, step.undo)
        for number, step in enumerate(plan.steps, start=1)
    )
    return Report(
        value=plan,
        body=(
            Table(_LEAVES, leaves),
            Table(_STEPS, steps),
            f"What was there is kept in {outlook.folder}/old on each host. A step that fails puts "
            "it back on its host; hosts done before keep the new.",
            "\n".join(describe(verdict, now) for verdict in plan.verdicts),
        ),
        names=tuple(
            f"certificate/{site.host}/{leaf.name}" for site in outlook.sites for leaf in site.leaves
        ),
    )
