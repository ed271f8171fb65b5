"""`shipkeeper drain`: kubectl drain's flags and words."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from cyclopts import Parameter

from shipkeeper.cli.cordon import DRY_RUN_SUFFIX
from shipkeeper.cli.drain_flags import CAREFUL, DrainFlags
from shipkeeper.cli.execution import conclude, open_journal, see_through
from shipkeeper.cli.flags import CURRENT, Cluster, DryRun, Output, Selector, require_targets
from shipkeeper.cli.metrics import UNMEASURED, MetricsFlags
from shipkeeper.cli.output import say, show, write
from shipkeeper.cli.words import KubectlWords, pending, unable
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.progress import quiet
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.nodes.explain import (
    NodeExplanation,
    explain_drain,
    refusal_of,
    refusals,
    warnings,
)
from shipkeeper.nodes.observe import ClusterState
from shipkeeper.nodes.options import DrainOptions
from shipkeeper.nodes.procedure import execute, prepare
from shipkeeper.nodes.rehearsal import rehearse_drain
from shipkeeper.nodes.report import explanation_report, plan_report


async def drain(
    *nodes: str,
    selector: Selector = "",
    explain: Annotated[bool, Parameter(help="Tell of every pod all that blocks it.")] = False,
    dry_run: DryRun = "none",
    output: Output = None,
    flags: DrainFlags = CAREFUL,
    metrics: MetricsFlags = UNMEASURED,
    cluster: Cluster = CURRENT,
) -> None:
    """Drain nodes in preparation for maintenance."""
    require_targets(nodes, selector)
    options = flags.options()
    async with connect(cluster.options(page_size=flags.chunk_size)) as connection:
        state, plan = await prepare(connection, nodes, selector, options)
        now = datetime.now(UTC)
        prepared = _Drain(
            connection=connection,
            state=state,
            plan=plan,
            options=options,
            explanations=explain_drain(state, options, now),
            output=output,
            metrics=metrics,
        )
        if explain:
            show(explanation_report(prepared.explanations, now), output)
        elif not state.nodes:
            say("No resources found")
        elif dry_run == "client":
            show(plan_report(plan, now), output)
            prepared.complain()
        elif dry_run == "server":
            await prepared.rehearse()
        else:
            await prepared.run()


class _Drain(msgspec.Struct, frozen=True, kw_only=True):
    """A drain that is planned; its plan is empty if all nodes are refused."""

    connection: Connection
    state: ClusterState
    plan: Plan
    options: DrainOptions
    explanations: tuple[NodeExplanation, ...]
    output: str | None
    metrics: MetricsFlags

    async def rehearse(self) -> None:
        """Send everything with dryRun=All."""
        self._announce()
        words = quiet if self.output else KubectlWords(write, say, suffix=DRY_RUN_SUFFIX["server"])
        verdicts = await rehearse_drain(self.connection, self.state, self.plan, self.options, words)
        if self.output:
            plan = msgspec.structs.replace(self.plan, verdicts=(*self.plan.verdicts, *verdicts))
            show(plan_report(plan, datetime.now(UTC)), self.output)
        self.complain()

    async def run(self) -> None:
        """Drain what can be drained."""
        self._announce()
        if not self.plan.steps:
            say(pending([each.node for each in self.explanations]))
            self.complain()
        journal = open_journal()
        result = await see_through(
            lambda tell: execute(self.connection, journal, self.plan, tell),
            deletes=self.options.disable_eviction or not self.state.eviction_version,
            in_words=not self.output,
            metrics=self.metrics,
        )
        conclude(journal, result, self.output, in_words=not self.output)

    def complain(self) -> None:
        """Raise the error that names the refused pods, if there are any."""
        refused = refusal_of(self.explanations)
        if refused is not None:
            raise refused

    def _announce(self) -> None:
        """Say, as kubectl does, which pods are left alone or lost, and which nodes are refused."""
        for each in self.explanations:
            if not each.drainable:
                say(unable("drain", each.node, *refusals((each,))))
            elif warning := warnings(each):
                say(f"Warning: {warning}")
