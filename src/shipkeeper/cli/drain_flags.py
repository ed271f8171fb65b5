"""kubectl drain's flags."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Group, Parameter
from cyclopts.validators import Number

from shipkeeper.cli.output import say
from shipkeeper.errors import UsageError
from shipkeeper.kube.config import PAGE_SIZE
from shipkeeper.model.duration import parse_duration
from shipkeeper.model.selector import parse_selector
from shipkeeper.nodes.options import DrainOptions
from shipkeeper.nodes.surge import SurgeOptions
from shipkeeper.nodes.tiers import PodOrder


@Parameter(name="*", group=Group("Drain", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class DrainFlags:
    """What a drain may do to pods, and how long it may take."""

    force: Annotated[bool, Parameter(help="Go on if pods declare no controller.")] = False
    ignore_daemonsets: Annotated[bool, Parameter(help="Leave DaemonSet-managed pods.")] = False
    delete_emptydir_data: Annotated[
        bool, Parameter(help="Go on if pods use emptyDir (their local data is lost).")
    ] = False
    delete_local_data: Annotated[
        bool, Parameter(help="Deprecated: use --delete-emptydir-data.", show=False)
    ] = False
    disable_eviction: Annotated[
        bool, Parameter(help="Delete pods past their PodDisruptionBudgets; use with caution.")
    ] = False
    grace_period: Annotated[
        int,
        Parameter(
            help="Seconds that each pod gets to end; negative for its own.",
            allow_leading_hyphen=True,
        ),
    ] = -1
    pod_selector: Annotated[str, Parameter(help="Label selector of the pods to move.")] = ""
    skip_wait_for_delete_timeout: Annotated[
        int, Parameter(help="Do not wait for pods deleted more than so many seconds ago.")
    ] = 0
    timeout: Annotated[
        str, Parameter(help="Time to give up after, for each node (5m); 0 is never.")
    ] = "0s"
    pod_order: Annotated[
        Literal["none", "critical", "priority"] | None,
        Parameter(
            help="Let critical pods leave after all others, or one priority after the other "
            "(drain: none; maintain: critical)."
        ),
    ] = None
    surge: Annotated[
        bool,
        Parameter(help="Give a Deployment's only pod company if its budget forbids its eviction."),
    ] = False
    surge_owned: Annotated[
        bool, Parameter(help="Also if an autoscaler, GitOps or another controller scales it.")
    ] = False
    surge_timeout: Annotated[
        str, Parameter(help="How long the second pod may take to be Ready.")
    ] = "5m"
    ignore_holds: Annotated[
        bool, Parameter(help="Go on with nodes that another tool works on or holds.")
    ] = False
    chunk_size: Annotated[
        int,
        Parameter(
            help="Objects to ask for at a time in lists; 0 is all at once.",
            validator=Number(gte=0),
        ),
    ] = PAGE_SIZE

    def options(self) -> DrainOptions:
        """What was asked for; UsageError if a value makes no sense."""
        if self.delete_local_data:
            say("Flag --delete-local-data has been deprecated, use --delete-emptydir-data")
        return DrainOptions(
            force=self.force,
            ignore_daemonsets=self.ignore_daemonsets,
            delete_emptydir_data=self.delete_emptydir_data or self.delete_local_data,
            disable_eviction=self.disable_eviction,
            grace_period=self.grace_period,
            pod_selector=self._pod_selector(),
            skip_wait_for_delete_timeout=self.skip_wait_for_delete_timeout,
            timeout=parse_duration(self.timeout).total_seconds(),
            pod_order=PodOrder(self.pod_order or PodOrder.NONE),
            surge=self._surge(),
            ignore_holds=self.ignore_holds,
        )

    def _surge(self) -> SurgeOptions:
        if self.surge_owned and not self.surge:
            raise UsageError(
                "--surge-owned says more about --surge, which is not given",
                reason="NoSurge",
                hint="give both: --surge --surge-owned",
            )
        return SurgeOptions(
            enabled=self.surge,
            owned=self.surge_owned,
            timeout=parse_duration(self.surge_timeout).total_seconds(),
        )

    def _pod_selector(self) -> str:
        try:
            parse_selector(self.pod_selector)
        except UsageError as error:
            raise UsageError(
                "--pod-selector=<pod_selector> must be a valid label selector",
                reason=error.reason,
                hint=error.message,
            ) from error
        return self.pod_selector


# What no flag was given for is not done.
CAREFUL = DrainFlags()
