"""How a ClusterUpgrade stands before it has a run, as its status tells it. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from shipkeeper.engine.plan import Plan
from shipkeeper.engine.report import Format, render
from shipkeeper.engine.verdict import Verdict
from shipkeeper.errors import ShipkeeperError
from shipkeeper.nodes.report import plan_line
from shipkeeper.operator.api.conditions import StatusCondition, settled
from shipkeeper.operator.api.reference import ObjectRef
from shipkeeper.operator.api.upgrades import (
    Blocker,
    ClusterUpgradeSpec,
    ClusterUpgradeStatus,
    RunningVersion,
)
from shipkeeper.operator.reports.standing import clean, counts_of, worst_of
from shipkeeper.operator.shown import ShownPlan
from shipkeeper.operator.situation import OTHER, Phase, Situation, other
from shipkeeper.operator.told import accepted, condition, explained, in_the_way, whole
from shipkeeper.operator.upgrades.look import Look
from shipkeeper.upgrade.component import Name
from shipkeeper.upgrade.outlook import outlook_of
from shipkeeper.upgrade.plan_report import upgrade_report
from shipkeeper.upgrade.versions import ClusterVersions

_NAMED = 20
_LONGEST = 1024


def has_ended(status: ClusterUpgradeStatus, generation: int) -> bool:
    """Whether nothing more will come of what its spec asks for."""
    is_of_this = bool(status.run) or status.observed_generation == generation
    return status.finished_at is not None and is_of_this


def looked_at(status: ClusterUpgradeStatus, generation: int, now: datetime) -> datetime | None:
    """When what the spec asks for was looked at last, and it went well; None if it never was.

    A look that is still to come was made by a clock that was wrong, and says nothing.
    """
    is_seen = any((each.type, each.status) == ("Checked", "True") for each in status.conditions)
    is_of_this = status.observed_generation == generation and is_seen
    at = status.checked_at
    return at if is_of_this and at is not None and at <= now else None


def waits_for_turn(status: ClusterUpgradeStatus) -> bool:
    """Whether the last look found all well, but for another run that was under way."""
    return any((each.type, each.reason) == ("Progressing", OTHER) for each in status.conditions)


def plan_text(plan: Plan, at: datetime) -> str:
    """A plan as `shipkeeper upgrade plan` prints it."""
    return render(upgrade_report(plan, at), Format.TEXT)


def rejected(
    before: ClusterUpgradeStatus, generation: int, reason: str, message: str, now: datetime
) -> ClusterUpgradeStatus:
    """The status of one whose spec makes no sense."""
    conditions = (
        condition("Accepted", False, reason, message),
        condition("Planned", False, reason, message),
    )
    return ClusterUpgradeStatus(
        observed_generation=generation,
        phase=Phase.PENDING,
        message=message[:_LONGEST],
        conditions=settled(before.conditions, conditions, generation, now),
    )


def unseen(
    before: ClusterUpgradeStatus, generation: int, error: ShipkeeperError, now: datetime
) -> ClusterUpgradeStatus:
    """The status when a look failed; what was found before stays, as the best that is known."""
    message = explained(error)
    kept = [each for each in before.conditions if each.type not in ("Accepted", "Checked")]
    conditions = (accepted(), condition("Checked", False, error.reason, message), *kept)
    return msgspec.structs.replace(
        before,
        observed_generation=generation,
        phase=Phase.WAITING,
        message=message[:_LONGEST],
        conditions=settled(before.conditions, conditions, generation, now),
    )


def looked(
    before: ClusterUpgradeStatus,
    name: str,
    generation: int,
    spec: ClusterUpgradeSpec,
    look: Look,
    shown: ShownPlan,
    report_in: tuple[ObjectRef, ...],
    now: datetime,
) -> ClusterUpgradeStatus:
    """The status after a look, while there is no run."""
    blockers = look.blockers(spec)
    situation = _situation(name, spec, look, blockers)
    outlook = outlook_of(look.plan)
    is_there = situation.phase is Phase.SUCCEEDED
    return ClusterUpgradeStatus(
        observed_generation=generation,
        phase=situation.phase,
        message=situation.message[:_LONGEST],
        server_version=look.versions.server,
        hops=outlook.hops if outlook else (),
        versions=_running(look.versions),
        blockers=_told(blockers),
        found=counts_of(look.findings),
        worst=worst_of(look.findings),
        report_in=report_in,
        plan=shown.text,
        plan_in=shown.places,
        plan_hash=look.agreed if look.plan.steps else "",
        checked_at=whole(look.at),
        finished_at=whole(now) if is_there else None,
        conditions=settled(
            before.conditions,
            _conditions(spec, look, blockers, situation),
            generation,
            now,
        ),
    )


def _situation(
    name: str, spec: ClusterUpgradeSpec, look: Look, blockers: Sequence[Verdict]
) -> Situation:
    if blockers:
        first = blockers[0]
        return _stands(Phase.BLOCKED, first.reason, _in_words(blockers))
    if not look.plan.steps:
        return _stands(Phase.SUCCEEDED, "AlreadyThere", f"everything is {look.target} already")
    if spec.wait is None:
        message = f"carry it out with: shipkeeper upgrade run --to {look.target}"
        return _stands(Phase.PLANNED, "Planned", message)
    if spec.approved_plan == look.agreed:
        return _approved(spec, look)
    patch = f'{{"spec":{{"approvedPlan":"{look.agreed}"}}}}'
    how = f"see status.plan, then: kubectl patch cu {name} --type merge -p '{patch}'"
    if spec.approved_plan is None:
        return _stands(Phase.AWAITING_APPROVAL, "AwaitingApproval", how)
    message = f"the plan is another by now than the one that was approved; {how}"
    return _stands(Phase.AWAITING_APPROVAL, "PlanChanged", message)


def _approved(spec: ClusterUpgradeSpec, look: Look) -> Situation:
    if spec.paused:
        return _stands(Phase.PAUSED, "Paused", "spec.paused is true")
    if look.busy:
        return other(look.busy)
    return _stands(Phase.WAITING, "Approved", "it is about to begin")


def _stands(phase: Phase, reason: str, message: str) -> Situation:
    return Situation(phase=phase, reason=reason, message=message)


def _in_words(blockers: Sequence[Verdict]) -> str:
    told = map(in_the_way, blockers[:3])
    more = f"; and {len(blockers) - 3} more" if len(blockers) > 3 else ""
    return f"{'; '.join(told)}{more}"


def _conditions(
    spec: ClusterUpgradeSpec, look: Look, blockers: Sequence[Verdict], situation: Situation
) -> tuple[StatusCondition, ...]:
    bad = look.bad(spec.fail_on)
    is_planned = bool(look.plan.steps) and not look.plan.blockers
    is_there = situation.phase is Phase.SUCCEEDED
    why_not = situation.reason if blockers else "NothingToDo"
    return (
        accepted(),
        condition("Checked", True, "Checked"),
        clean(look.findings, is_bad=bool(bad)),
        condition(
            "Planned",
            is_planned,
            "Planned" if is_planned else why_not,
            plan_line(look.plan) if is_planned else situation.message,
        ),
        condition("Progressing", False, situation.reason, situation.message),
        condition(
            "Succeeded",
            True if is_there else "Unknown",
            situation.reason if is_there else "NotEnded",
            situation.message if is_there else "",
        ),
    )


def _running(versions: ClusterVersions) -> tuple[RunningVersion, ...]:
    """What runs in the cluster; kubectl is a program of whoever looks."""
    seen = Counter(
        (str(each.name), each.text) for each in versions.components if each.name != Name.KUBECTL
    )
    return tuple(
        RunningVersion(component=name, version=text, count=count)
        for (name, text), count in sorted(seen.items())
    )


def _told(blockers: Iterable[Verdict]) -> tuple[Blocker, ...]:
    return tuple(
        Blocker(
            target=each.target,
            reason=each.reason,
            message=each.message[:_LONGEST],
            remedy=each.remedy[:_LONGEST],
        )
        for each in tuple(blockers)[:_NAMED]
    )
