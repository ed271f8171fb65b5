"""Runs on hosts as the commands drive them: the plan's page, the run, its history, the way back."""

from collections.abc import Callable
from dataclasses import dataclass

from cyclopts import Parameter

from shipkeeper.cli.execution import see_through
from shipkeeper.cli.output import show
from shipkeeper.cli.output_flags import ClientDryRun, Output
from shipkeeper.engine.history import RunHistory, read_history
from shipkeeper.engine.history_report import run_report
from shipkeeper.engine.host_runs import HostRuns
from shipkeeper.engine.journal import RunRecord
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.report import Report
from shipkeeper.errors import BlockedError, ShipkeeperError, UsageError


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class HostRunFlags:
    """Whether to run at all, and how it is told."""

    dry_run: ClientDryRun = "none"
    output: Output = None

    @property
    def is_dry(self) -> bool:
        """Whether nothing is to be done."""
        return self.dry_run == "client"

    async def carry_out(
        self,
        runs: HostRuns,
        plan: Plan,
        found: RunRecord | None,
        *,
        page: Callable[[], Report],
        way_on: Callable[[str], str],
        told: Callable[[RunHistory], Report] = run_report,
    ) -> None:
        """Show the plan, or run it and show what became of it; raise the error that says why not.

        `page` has the plan's report, `told` that of a run, `way_on` says how to go on with one.
        """
        if self.is_dry:
            show(page(), self.output)
        _refuse(plan)
        if self.is_dry:
            return
        result = await see_through(
            lambda tell: runs.execute(plan, found, tell), in_words=False, way_on=way_on
        )
        run = runs.journal.run(result.run)
        show(told(read_history(run, runs.journal.entries(run.id))), self.output)
        for failure in result.failures:
            kind = BlockedError if failure.blocks else ShipkeeperError
            raise kind(failure.message, reason=failure.reason, hint=failure.remedy)


AS_A_TABLE = HostRunFlags()


def required(found: RunRecord | None, what: str) -> RunRecord:
    """The run that is to be given up; UsageError if there is none."""
    if found is None:
        raise UsageError(
            f"no {what} of these hosts is under way",
            reason="NothingUnderWay",
            hint="name the hosts that it was begun with; see it with: shipkeeper runs",
        )
    return found


def _refuse(plan: Plan) -> None:
    """BlockedError with the first verdict that forbids a plan."""
    if plan.blockers:
        first = plan.blockers[0]
        more = f" (and {len(plan.blockers) - 1} more)" if len(plan.blockers) > 1 else ""
        raise BlockedError(
            f"{first.target}: {first.message}{more}", reason=first.reason, hint=first.remedy
        )
