"""A plan in the words of the command line, whichever procedure it is of."""

from collections.abc import Callable, Mapping
from datetime import datetime

from shipkeeper.access.certs.renew.plan import PROCEDURE as RENEW
from shipkeeper.access.certs.renew.report import renewal_report
from shipkeeper.access.certs.rotate.plan import PROCEDURE as ROTATE
from shipkeeper.access.certs.rotate.report import stage_report
from shipkeeper.backup.restore_plan import PROCEDURE as RESTORE
from shipkeeper.backup.restore_report import restore_report
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.report import Format, Report, render
from shipkeeper.etcd.recover.plan import PROCEDURE as RECOVER
from shipkeeper.etcd.recover.report import recovery_report
from shipkeeper.nodes.report import plan_report
from shipkeeper.upgrade.plan import PROCEDURE as UPGRADE
from shipkeeper.upgrade.plan_report import upgrade_report

# Any other plan is one of a drain or a maintenance.
_REPORTS: Mapping[str, Callable[[Plan, datetime], Report]] = {
    UPGRADE: upgrade_report,
    RESTORE: lambda plan, _: restore_report(plan),
    RECOVER: recovery_report,
    RENEW: renewal_report,
    ROTATE: stage_report,
}


def plan_words(plan: Plan, now: datetime) -> str:
    """What the command line prints of a plan, as of `now`."""
    return render(_REPORTS.get(plan.procedure, plan_report)(plan, now), Format.TEXT)
