"""Evicting a pod, and everything the API server can answer to that, as a closed set of types.

Read from pkg/registry/core/pod/storage/eviction.go of Kubernetes and checked on real servers.
"""

from datetime import timedelta
from typing import Any

import msgspec

from shipkeeper.kube.errors import (
    ApiError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    TooManyRequestsError,
)
from shipkeeper.kube.resources import PODS
from shipkeeper.kube.writer import Writer, delete_options
from shipkeeper.model.pod import Pod

_BUDGET_CAUSE = "DisruptionBudget"
_TERMINATING_CAUSE = "NamespaceTerminating"
_MANY_BUDGETS = "more than one PodDisruptionBudget"
# A server that is hung up on half way has counted the pod against its budget, and not deleted it:
# until it forgets that, for two minutes, nobody gets past the budget.
_LAST_WAIT = timedelta(seconds=5)
_BUDGET_STATE = ("disruptions allowed is negative", "DisruptedPods map too big")


class Accepted(msgspec.Struct, frozen=True):
    """The pod is being deleted; it is not gone yet."""


class Gone(msgspec.Struct, frozen=True):
    """There is no pod of this name any more."""


class Replaced(msgspec.Struct, frozen=True):
    """Another pod has this name now; the one that was meant is gone."""


class OverBudget(msgspec.Struct, frozen=True):
    """A budget does not allow it now; `retry_after` is set while the budget is being processed."""

    message: str
    retry_after: timedelta | None = None


class Throttled(msgspec.Struct, frozen=True):
    """The server asks to slow down; no budget is involved."""

    message: str
    retry_after: timedelta


class NamespaceTerminating(msgspec.Struct, frozen=True):
    """The pod's namespace is being deleted, and the pod with it."""

    message: str


class BudgetUnsettled(msgspec.Struct, frozen=True):
    """The budget's own state stands in the way (still changing, negative, or too full)."""

    message: str


class ManyBudgets(msgspec.Struct, frozen=True):
    """More than one budget covers the pod: the eviction API will never evict it."""

    message: str


Outcome = (
    Accepted
    | Gone
    | Replaced
    | OverBudget
    | Throttled
    | NamespaceTerminating
    | BudgetUnsettled
    | ManyBudgets
)


async def evict(
    writer: Writer, pod: Pod, *, version: str, grace_period_seconds: int | None = None
) -> Outcome:
    """Evict this very pod (by UID) through policy/`version`.

    Who is cancelled while it is on its way waits for the answer a moment longer. Raises ApiError
    for an answer that says nothing about the pod (no permission, a broken server).
    """
    eviction: dict[str, Any] = {
        "apiVersion": f"policy/{version}",
        "kind": "Eviction",
        "metadata": {"name": pod.name, "namespace": pod.namespace},
        "deleteOptions": delete_options(uid=pod.uid, grace_period_seconds=grace_period_seconds),
    }
    try:
        await writer.post_subresource(
            PODS, pod.name, "eviction", eviction, namespace=pod.namespace, last_wait=_LAST_WAIT
        )
    except ApiError as error:
        return outcome_of(error)
    return Accepted()


async def delete(
    writer: Writer, pod: Pod, *, grace_period_seconds: int | None = None
) -> Accepted | Gone | Replaced:
    """Delete this very pod (by UID) past all budgets."""
    try:
        await writer.delete(
            PODS,
            pod.name,
            namespace=pod.namespace,
            uid=pod.uid,
            grace_period_seconds=grace_period_seconds,
        )
    except NotFoundError:
        return Gone()
    except ConflictError:
        return Replaced()
    return Accepted()


def outcome_of(error: ApiError) -> Outcome:
    """What a refused eviction means; raises the error itself if it means nothing for the pod."""
    message = error.status.message
    match error:
        case NotFoundError():
            return Gone()
        case ConflictError():
            return _of_conflict(error)
        case TooManyRequestsError() if error.status.has_cause(_BUDGET_CAUSE):
            return OverBudget(_with_causes(error), error.retry_after)
        case TooManyRequestsError() if error.retry_after is not None:
            return Throttled(message, error.retry_after)
        case TooManyRequestsError():
            return OverBudget(_with_causes(error))
        case ForbiddenError() if error.status.has_cause(_TERMINATING_CAUSE):
            return NamespaceTerminating(message)
        case ForbiddenError() if any(known in message for known in _BUDGET_STATE):
            return BudgetUnsettled(message)
        case ApiError() if _MANY_BUDGETS in message:
            return ManyBudgets(message)
        case ApiError() if error.status.code == 504:
            return BudgetUnsettled(message)
        case _:
            raise error


def _of_conflict(error: ConflictError) -> Outcome:
    """A conflict on the UID means another pod; any other is the budget's update racing.

    1.20 says "Precondition failed: UID in precondition: …", 1.37 "the UID in the precondition …".
    """
    message = error.status.message
    is_of_uid = "UID in" in message and "precondition" in message
    return Replaced() if is_of_uid else BudgetUnsettled(message)


def _with_causes(error: ApiError) -> str:
    details = " ".join(cause.message for cause in error.status.causes if cause.message)
    return f"{error.status.message} {details}".strip()
