"""How the plan and the end of a recovery look. Pure."""

from datetime import datetime

from shipkeeper.engine.history import RunHistory
from shipkeeper.engine.history_report import run_report
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.report import Column, Report, Table, describe
from shipkeeper.etcd.recover.plan import NO_RETURN, outlook_of

_STEPS = (Column("#"), Column("STEP"), Column("EFFECT"), Column("WAY BACK"))
_SITES = (
    Column("HOST"),
    Column("MEMBER"),
    Column("HEALTHY"),
    Column("DATA"),
    Column("NEW DATA"),
    Column("PEER URLS", wide=True),
)


def recovery_report(plan: Plan, now: datetime) -> Report:
    """The steps, the members' places, and where the way back ends."""
    outlook = outlook_of(plan)
    steps = tuple(
        (str(number), step.id, step.effect, step.undo or "none")
        for number, step in enumerate(plan.steps, start=1)
    )
    sites = tuple(
        (
            site.host,
            site.name,
            "yes" if site.was_healthy else "no",
            site.old_data,
            site.new_data,
            ",".join(site.peer_urls),
        )
        for site in outlook.sites
    )
    return Report(
        value=plan,
        body=(
            Table(_SITES, sites),
            Table(_STEPS, steps),
            f"Point of no return: {NO_RETURN}. If a step before it fails, the old manifests and "
            "the old data are used again; the old data stays on the hosts in any case.",
            "\n".join(describe(verdict, now) for verdict in plan.verdicts),
        ),
        names=tuple(f"member/{site.name}" for site in outlook.sites),
    )


def recovered_report(history: RunHistory) -> Report:
    """What became of a run, and how long the API server was away."""
    report = run_report(history)
    times = {step.id: (step.began_at, step.ended_at) for step in history.steps}
    began, ended = times["stop-apiserver"][0], times[NO_RETURN][1]
    if not (began and ended):
        return report
    seconds = (ended - began).total_seconds()
    return Report(
        value={"run": history, "recoverySeconds": round(seconds, 1)},
        body=(*report.body, f"recovery took {seconds:.1f} s without an API server"),
        names=report.names,
    )
