"""PodDisruptionBudgets as the API server shows them."""

from datetime import datetime

from shipkeeper.model.base import KubeStruct
from shipkeeper.model.meta import Condition, KubeObject
from shipkeeper.model.pod import Pod
from shipkeeper.model.selector import LabelSelector

ALWAYS_ALLOW = "AlwaysAllow"


class BudgetSpec(KubeStruct, frozen=True, kw_only=True):
    """How much disruption an application bears; one of the two limits is set."""

    min_available: int | str | None = None
    max_unavailable: int | str | None = None
    selector: LabelSelector | None = None
    unhealthy_pod_eviction_policy: str = ""


class BudgetStatus(KubeStruct, frozen=True, kw_only=True):
    """What the disruption controller last worked out, in pods."""

    disruptions_allowed: int = 0
    current_healthy: int = 0
    desired_healthy: int = 0
    expected_pods: int = 0
    observed_generation: int = 0
    disrupted_pods: dict[str, datetime] | None = None
    conditions: tuple[Condition, ...] | None = None


class PodDisruptionBudget(KubeObject, frozen=True, kw_only=True):
    """A budget; it covers pods of its own namespace."""

    api_version: str = ""
    spec: BudgetSpec = BudgetSpec()
    status: BudgetStatus = BudgetStatus()

    def covers(self, pod: Pod, *, empty_matches_all: bool = True) -> bool:
        """Whether the budget counts a pod.

        An empty selector matches every pod in policy/v1 and none in policy/v1beta1; a missing
        one matches none in both (policy/v1 PodDisruptionBudgetSpec).
        """
        selector = self.spec.selector
        if selector is None or self.namespace != pod.namespace:
            return False
        if selector.is_empty:
            return empty_matches_all
        return selector.matches(pod.metadata.labels)

    @property
    def is_current(self) -> bool:
        """Whether the disruption controller has seen the budget as it stands."""
        return self.status.observed_generation >= self.metadata.generation
