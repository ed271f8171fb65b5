"""How the plan of a rotation's stage looks. Pure."""

from datetime import datetime

from shipkeeper.access.certs.rotate.outlook import outlook_of
from shipkeeper.access.certs.rotate.standing import Stage
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.report import Column, Report, Table, describe

_STEPS = (Column("#"), Column("STEP"), Column("EFFECT"), Column("WAY BACK", wide=True))
_AFTERWARDS = {
    Stage.TRUST: "Afterwards both authorities are trusted; the old one still signs. Next: move.",
    Stage.MOVE: "Afterwards the new authority signs, and both are trusted. Restart pods that need "
    "the API server and renew users' kubeconfigs before the next stage: drop.",
    Stage.DROP: "Afterwards whatever the old authority signed is refused, and nobody trusts it. "
    "There is no way back once this stage is through.",
}


def stage_report(plan: Plan, now: datetime) -> Report:
    """The steps of a stage, what comes of it, and what stands in its way."""
    outlook = outlook_of(plan)
    steps = tuple(
        (str(number), step.id, step.effect, step.undo or "none")
        for number, step in enumerate(plan.steps, start=1)
    )
    return Report(
        value=plan,
        body=(
            f"authority {outlook.authority}, stage {outlook.stage}",
            Table(_STEPS, steps),
            f"{_AFTERWARDS[outlook.stage]} What was there is kept in {outlook.folder}/old.",
            "\n".join(describe(verdict, now) for verdict in plan.verdicts),
        ),
        names=tuple(f"host/{each.host}" for each in outlook.sites),
    )
