"""What one look at an upgrade found, and what of that forbids it. Pure."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from shipkeeper.engine.finding import Findings, Severity
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.model.version import Version
from shipkeeper.model.words import counted
from shipkeeper.operator.api.upgrades import ClusterUpgradeSpec
from shipkeeper.upgrade.draft import CLUSTER
from shipkeeper.upgrade.versions import ClusterVersions

_NEVER = "never"


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What was found; `agreed` is what approves the plan, whichever node the operator runs on.

    `busy` names the object whose run was under way at the end of the look, empty if there was none.
    """

    at: datetime
    target: Version
    versions: ClusterVersions
    findings: Findings
    plan: Plan
    agreed: str
    busy: str = ""

    def blockers(self, spec: ClusterUpgradeSpec) -> tuple[Verdict, ...]:
        """Everything that forbids the upgrade as it is declared, or a part of it."""
        return (*self.plan.blockers, *_refused(self, spec))

    def bad(self, fail_on: str) -> int:
        """How many findings are as bad as that, or worse."""
        return 0 if fail_on == _NEVER else len(self.findings.at_least(Severity(fail_on)))

    def may_begin(self, spec: ClusterUpgradeSpec) -> bool:
        """Whether this very plan was approved, nothing forbids it, and it would go on at once.

        What was written down is carried out however long it waited: it must not be old by then.
        """
        is_agreed = bool(self.plan.steps) and spec.approved_plan == self.agreed
        is_held = spec.paused or bool(self.busy)
        return is_agreed and not is_held and not self.blockers(spec)


def _refused(look: Look, spec: ClusterUpgradeSpec) -> Iterator[Verdict]:
    """What the operator itself refuses to carry out."""
    if spec.wait is None:
        return
    if bad := look.bad(spec.fail_on):
        yield Verdict(
            target=CLUSTER,
            effect=Effect.BLOCK,
            reason="Findings",
            message=f"{counted(bad, 'finding')} of severity {spec.fail_on} or worse",
            remedy="mend what status.worst names, or bear with it by spec.failOn",
        )
