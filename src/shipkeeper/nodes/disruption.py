"""What budgets say about evicting a pod, foretold from their specs and statuses.

The rules are those of the eviction subresource (pkg/registry/core/pod/storage/eviction.go); the
API server has the last word on each eviction, this only explains it beforehand.
"""

from datetime import datetime

from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.model.disruption import ALWAYS_ALLOW, PodDisruptionBudget
from shipkeeper.model.meta import condition
from shipkeeper.model.pod import Pod

_ALLOWED_CONDITION = "DisruptionAllowed"
_SYNC_FAILED = "SyncFailed"


def ignores_budgets(pod: Pod) -> bool:
    """Whether evicting a pod disrupts nothing: it does not run (yet), or is being deleted."""
    return pod.is_deleting or pod.is_finished or pod.status.phase == "Pending"


def may_go_unhealthy(pod: Pod, budget: PodDisruptionBudget) -> bool:
    """Whether a pod that is not Ready may go although no disruption is allowed."""
    if pod.is_ready:
        return False
    status = budget.status
    is_healthy = status.current_healthy >= status.desired_healthy > 0
    return budget.spec.unhealthy_pod_eviction_policy == ALWAYS_ALLOW or is_healthy


def is_never_met(budget: PodDisruptionBudget) -> bool:
    """Whether the budget, as it and its application stand, can never allow a disruption."""
    status = budget.status
    return (
        budget.is_current
        and status.expected_pods > 0
        and (status.desired_healthy >= status.expected_pods)
    )


def judge_budgets(pod: Pod, budgets: tuple[PodDisruptionBudget, ...]) -> Verdict | None:
    """The verdict of the budgets that cover a pod; None if they do not mind."""
    if ignores_budgets(pod):
        return None
    match budgets:
        case ():
            return None
        case (budget,):
            return _judge_one(pod, budget)
        case _:
            return _many_budgets(pod, budgets)


def _many_budgets(pod: Pod, budgets: tuple[PodDisruptionBudget, ...]) -> Verdict:
    names = ", ".join(sorted(budget.name for budget in budgets))
    return Verdict(
        target=f"pod/{pod.key}",
        effect=Effect.BLOCK,
        reason="ManyBudgets",
        message=f"PodDisruptionBudgets {names} all cover it; the API server evicts no such pod",
        remedy=f"change the selectors in namespace {pod.namespace} so that one budget covers it",
    )


def _judge_one(pod: Pod, budget: PodDisruptionBudget) -> Verdict | None:
    if may_go_unhealthy(pod, budget):
        return None
    allowed = condition(budget.status.conditions or (), _ALLOWED_CONDITION)
    if allowed is not None and allowed.reason == _SYNC_FAILED:
        return _verdict(pod, budget, Effect.BLOCK, "BudgetBroken", allowed.message)
    if not budget.is_current:
        return _verdict(
            pod, budget, Effect.WAIT, "BudgetNotProcessed", "was not processed since it changed"
        )
    if is_never_met(budget):
        return _verdict(pod, budget, Effect.BLOCK, "BudgetNeverMet", _needs(budget))
    if budget.status.disruptions_allowed > 0:
        return None
    since = allowed.last_transition_time if allowed is not None else None
    return _verdict(pod, budget, Effect.WAIT, "BudgetExhausted", _needs(budget), since)


def _needs(budget: PodDisruptionBudget) -> str:
    status = budget.status
    # Whose eviction was let through counts as gone, for two minutes even if nothing came of it.
    leaving = ", ".join(sorted(status.disrupted_pods or {}))
    return (
        f"allows no disruption: it wants {status.desired_healthy} of {status.expected_pods} pods "
        f"healthy, and {status.current_healthy} are"
        + (f" (without {leaving}, whose eviction was let through)" if leaving else "")
    )


def _verdict(
    pod: Pod,
    budget: PodDisruptionBudget,
    effect: Effect,
    reason: str,
    message: str,
    since: datetime | None = None,
) -> Verdict:
    return Verdict(
        target=f"pod/{pod.key}",
        effect=effect,
        reason=reason,
        message=f"PodDisruptionBudget {budget.name} {message}",
        remedy=_REMEDIES[reason].format(namespace=budget.namespace, budget=budget.name),
        since=since,
    )


_REMEDIES = {
    "BudgetBroken": "mend the budget or its selector: kubectl -n {namespace} describe pdb {budget}",
    "BudgetNotProcessed": "it is processed by kube-controller-manager; check that it runs",
    "BudgetNeverMet": "add a replica, or let the budget allow one disruption: "
    "kubectl -n {namespace} edit pdb {budget}",
    "BudgetExhausted": "it goes on as soon as enough pods are Ready: "
    "kubectl -n {namespace} get pdb {budget}",
}
