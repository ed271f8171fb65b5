"""What can go wrong between a client and the API server, one type for each way."""

from typing import Any, TypeAlias

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """The server is not asked at all: the proxy answers in its place."""

    status: int
    body: dict[str, Any] = {}
    headers: dict[str, str] = {}


class Delay(msgspec.Struct, frozen=True):
    """The request reaches the server so many seconds late."""

    seconds: float


class Drop(msgspec.Struct, frozen=True):
    """The connection breaks before the request reaches the server."""


class LoseAnswer(msgspec.Struct, frozen=True):
    """The server carries the request out, but the connection breaks before its answer is sent."""


class Cut(msgspec.Struct, frozen=True):
    """A stream breaks after so many events (and then bytes), or in its middle when set to."""

    after_events: int = 0
    and_bytes: int = 0


class Freeze(msgspec.Struct, frozen=True):
    """A stream falls silent after so many events; its connection stays open (half-open)."""

    after_events: int = 0


class End(msgspec.Struct, frozen=True):
    """A stream ends properly after so many events, long before its time."""

    after_events: int = 0


class Inject(msgspec.Struct, frozen=True):
    """After so many events of a stream comes one that the server never sent, then its end."""

    event: dict[str, Any]
    after_events: int = 0


StreamFault: TypeAlias = Cut | Freeze | End | Inject
Fault: TypeAlias = Answer | Delay | Drop | LoseAnswer | StreamFault


def status(code: int, reason: str, message: str = "", **details: Any) -> dict[str, Any]:
    """A meta/v1 Status as the API server sends it."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message or f"{reason}, says the fault-injecting proxy",
        "reason": reason,
        "details": details,
        "code": code,
    }


def refusal(code: int, reason: str, message: str = "", **details: Any) -> Answer:
    """An answer with a Status, such as 409 Conflict, 410 Expired or 500 InternalError."""
    return Answer(code, status(code, reason, message, **details))


def slow_down(seconds: int) -> Answer:
    """429 as API priority and fairness sends it: no cause, only a time to wait."""
    body = status(429, "TooManyRequests", retryAfterSeconds=seconds)
    return Answer(429, body, {"Retry-After": str(seconds)})


def over_budget(budget: str) -> Answer:
    """429 as the eviction API sends it while a PodDisruptionBudget is used up."""
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    cause = {"reason": "DisruptionBudget", "message": f"The disruption budget {budget} is used up"}
    return Answer(429, status(429, "TooManyRequests", message, causes=[cause]))


def expired_event(after_events: int = 0) -> Inject:
    """The ERROR event that ends a watch whose revision was compacted."""
    return Inject({"type": "ERROR", "object": status(410, "Expired")}, after_events)
