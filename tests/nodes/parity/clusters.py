"""Clusters to drain, each generated from its number alone: one node with all sorts of pods."""

from enum import StrEnum
from random import Random

import msgspec

from shipkeeper.nodes.options import DrainOptions

# Enough for everything that can go to be gone; what is left then waits for good.
TIMEOUT = 8.0
_EVERYTHING = DrainOptions(force=True, ignore_daemonsets=True, delete_emptydir_data=True)
_QUICK = (
    DrainOptions(),
    DrainOptions(force=True),
    DrainOptions(ignore_daemonsets=True),
    DrainOptions(delete_emptydir_data=True),
    DrainOptions(force=True, ignore_daemonsets=True),
    _EVERYTHING,
    msgspec.structs.replace(_EVERYTHING, grace_period=0),
    msgspec.structs.replace(_EVERYTHING, disable_eviction=True),
    msgspec.structs.replace(_EVERYTHING, pod_selector="tier=front"),
    DrainOptions(ignore_daemonsets=True, pod_selector="tier!=front", grace_period=2),
)
_PATIENT = msgspec.structs.replace(_EVERYTHING, timeout=TIMEOUT)
_SLOW = (
    msgspec.structs.replace(_PATIENT, grace_period=2),
    msgspec.structs.replace(_PATIENT, skip_wait_for_delete_timeout=1),
    msgspec.structs.replace(_PATIENT, grace_period=0, pod_selector="tier in (front, back)"),
    DrainOptions(ignore_daemonsets=True, delete_emptydir_data=True, timeout=TIMEOUT),
    DrainOptions(
        force=True, disable_eviction=True, skip_wait_for_delete_timeout=1, timeout=TIMEOUT
    ),
)


class PodState(StrEnum):
    """How a pod is when the drain begins."""

    READY = "Ready"
    UNREADY = "Unready"
    PENDING = "Pending"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    LEAVING = "Leaving"  # deleted before, due in an hour, and it never ends by itself
    OVERDUE = "Overdue"  # deleted before, due by now, and it never ends by itself

    @property
    def is_deleting(self) -> bool:
        """Whether somebody deleted it before the drain."""
        return self in (PodState.LEAVING, PodState.OVERDUE)


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """What a pod says of its owner; without a name it is the node."""

    api_version: str
    kind: str
    name: str
    is_controller: bool = True


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A budget over one application; without a number it is one that cannot be worked out."""

    min_available: int | None = None
    is_lenient: bool = False


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """Like pods of one owner."""

    name: str
    owner: Owner | None
    states: tuple[PodState, ...]
    budgets: tuple[Budget, ...]
    grace_seconds: int
    tier: str
    is_mirror: bool
    uses_empty_dir: bool
    never_ends: bool

    @property
    def pods(self) -> dict[str, PodState]:
        """Its pods by name."""
        return {f"{self.name}-{number}": state for number, state in enumerate(self.states)}

    @property
    def is_rationed(self) -> bool:
        """Whether a budget lets some of its pods go, and chance decides which."""
        limits = [each.min_available for each in self.budgets if each.min_available is not None]
        ready = self.states.count(PodState.READY)
        wanting = ready + self.states.count(PodState.UNREADY)
        return any(0 < ready - limit < wanting for limit in limits)


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """One node's pods and budgets, and how the node is drained."""

    number: int
    options: DrainOptions
    applications: tuple[Application, ...]
    has_wide_budget: bool
    has_blind_budget: bool
    is_reachable: bool

    @property
    def states(self) -> dict[str, PodState]:
        """All its pods by name."""
        return {name: state for app in self.applications for name, state in app.pods.items()}


DAEMON_SET = "agent"
NODE = Owner(api_version="v1", kind="Node", name="")
_ORDINARY = (
    Owner(api_version="apps/v1", kind="ReplicaSet", name="web"),
    Owner(api_version="apps/v1", kind="StatefulSet", name="db"),
    Owner(api_version="batch/v1", kind="Job", name="once"),
    Owner(api_version="example.com/v1", kind="Widget", name="own"),
    NODE,
)
_AWKWARD = (
    None,
    Owner(api_version="apps/v1", kind="ReplicaSet", name="web", is_controller=False),
    Owner(api_version="apps/v1", kind="DaemonSet", name=DAEMON_SET),
    Owner(api_version="apps/v1", kind="DaemonSet", name="gone"),
    Owner(api_version="apps/v1beta2", kind="DaemonSet", name=DAEMON_SET),
    Owner(api_version="example.com/v1", kind="DaemonSet", name="gone"),
)


def generate(number: int) -> Cluster:
    """The cluster of a number; in odd ones something may never go, and the drain has a timeout."""
    draw = Random(f"parity {number}")
    may_wait = number % 2 == 1
    options = draw.choice(_SLOW if may_wait else _QUICK)
    is_plain = draw.random() < 0.5
    return Cluster(
        number=number,
        options=options,
        applications=tuple(
            _application(draw, f"app-{index}", is_plain=is_plain, may_wait=may_wait)
            for index in range(draw.randint(1, 3))
        ),
        has_wide_budget=draw.random() < 0.1,
        has_blind_budget=draw.random() < 0.1,
        is_reachable=not may_wait or draw.random() < 0.9,
    )


def _application(draw: Random, name: str, *, is_plain: bool, may_wait: bool) -> Application:
    """An application; a plain one has nothing that a drain refuses without flags."""
    states = tuple(_state(draw, may_wait=may_wait) for _ in range(draw.choice((1, 1, 2, 3))))
    return Application(
        name=name,
        owner=draw.choice(_ORDINARY if is_plain else _ORDINARY + _AWKWARD),
        states=states,
        budgets=_budgets(draw, len(states), may_wait=may_wait),
        grace_seconds=draw.choice((1, 30)),
        tier=draw.choice(("front", "back", "other")),
        is_mirror=draw.random() < 0.1,
        uses_empty_dir=not is_plain and draw.random() < 0.3,
        never_ends=may_wait and draw.random() < 0.1,
    )


def _state(draw: Random, *, may_wait: bool) -> PodState:
    if draw.random() < 0.6:
        return PodState.READY
    if may_wait:
        return draw.choice(tuple(PodState))
    return draw.choice((PodState.PENDING, PodState.SUCCEEDED, PodState.FAILED))


def _budgets(draw: Random, pods: int, *, may_wait: bool) -> tuple[Budget, ...]:
    """None, roomy, two of them, or (with time to wait) a tight, unmeetable or broken one."""
    if draw.random() < 0.5:
        return ()
    roomy = Budget(min_available=0)
    if draw.random() < 0.2:
        return (roomy, roomy)
    if not may_wait:
        return (roomy,)
    if draw.random() < 0.2:
        return (Budget(),)
    return (Budget(min_available=draw.randint(0, pods), is_lenient=draw.random() < 0.3),)
