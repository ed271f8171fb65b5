"""What a hollow kubelet does next to a pod, case by case; and the addresses it hands out."""

from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.model.meta import Condition, ObjectMeta
from shipkeeper.sandbox.hollow.addresses import AddressPool
from shipkeeper.sandbox.hollow.lifecycle import (
    HANG_DELETION_ANNOTATION,
    READY_AFTER_ANNOTATION,
    STOPS_AFTER_ANNOTATION,
    Action,
    Step,
    next_step,
)
from shipkeeper.sandbox.hollow.pod import BoundPod, BoundPodStatus, ContainerStatus
from shipkeeper.sandbox.hollow.values import Behaviour, Boot, HollowError

UP = Behaviour(ready_after=3, stops_after=2)
DEAD = Behaviour(heartbeats=False)
REBOOTING = Behaviour(boot=Boot(at=0, boot_id="b2"))
HUNG = Behaviour(hangs_deletions=True)

START = Step(Action.START)
RESTART = Step(Action.RESTART)


def pod(
    *,
    boot: str = "",
    ready: bool = False,
    phase: str = "Pending",
    grace: int | None = None,
    annotations: dict[str, str] | None = None,
) -> BoundPod:
    """A pod whose containers started under a boot; with `grace` it is being deleted."""
    started = ContainerStatus(name="main", container_id=f"hollow://{boot}/main/0")
    deleted = None if grace is None else datetime(2026, 1, 1, tzinfo=UTC)
    return BoundPod(
        metadata=ObjectMeta(
            name="p",
            annotations=annotations or {},
            deletion_timestamp=deleted,
            deletion_grace_period_seconds=grace,
        ),
        status=BoundPodStatus(
            phase=phase,
            container_statuses=(started,) if boot else (),
            conditions=(Condition(type="Ready", status=str(ready)),),
        ),
    )


@pytest.mark.parametrize(
    ("behaviour", "seen", "expected"),
    [
        (UP, pod(), START),
        (UP, pod(boot="b1", phase="Running"), Step(Action.MAKE_READY, 3)),
        (UP, pod(boot="b1", phase="Running", ready=True), None),
        (UP, pod(boot="b0", phase="Running", ready=True), RESTART),
        (UP, pod(boot="b0", phase="Failed"), None),
        (UP, pod(boot="b1", phase="Succeeded"), None),
        (UP, pod(boot="b1", grace=30), Step(Action.FINISH, 2)),
        (UP, pod(boot="b1", grace=1), Step(Action.FINISH, 1)),
        (UP, pod(boot="b1", phase="Succeeded", grace=30), Step(Action.FINISH, 2)),
        (UP, pod(grace=30), Step(Action.FINISH)),
        (UP, pod(boot="b0", grace=30), Step(Action.FINISH)),
        (HUNG, pod(boot="b1", grace=30), None),
        (HUNG, pod(), START),
        (DEAD, pod(), None),
        (DEAD, pod(boot="b1", grace=0), None),
        (REBOOTING, pod(boot="b0"), None),
    ],
)
def test_next_step(behaviour: Behaviour, seen: BoundPod, expected: Step | None) -> None:
    assert next_step(seen, behaviour, "b1") == expected


@pytest.mark.parametrize(
    ("annotation", "value", "seconds"),
    [
        (READY_AFTER_ANNOTATION, "1m30s", 90),
        (READY_AFTER_ANNOTATION, "0", 0),
        (READY_AFTER_ANNOTATION, "soon", 3),
        (STOPS_AFTER_ANNOTATION, "5s", 5),
        (STOPS_AFTER_ANNOTATION, "1h", 30),
    ],
)
def test_a_pod_has_its_own_delays(annotation: str, value: str, seconds: float) -> None:
    grace = 30 if annotation == STOPS_AFTER_ANNOTATION else None
    step = next_step(pod(boot="b1", grace=grace, annotations={annotation: value}), UP, "b1")
    assert step is not None
    assert step.delay == seconds


def test_a_pod_hangs_by_its_own_annotation() -> None:
    annotations = {HANG_DELETION_ANNOTATION: "true"}
    assert next_step(pod(boot="b1", grace=0, annotations=annotations), UP, "b1") is None


@given(st.lists(st.booleans(), max_size=40))
def test_no_address_has_two_holders(takes: list[bool]) -> None:
    network = IPv4Network("192.0.2.0/26")
    pool, held = AddressPool(network), {"first": "192.0.2.1"}
    pool.claim("first", held["first"])
    for number, take in enumerate(takes):
        if take:
            address = pool.take(str(number))
            assert address not in held.values()
            assert address == pool.take(str(number))
            assert IPv4Address(address) in network
            held[str(number)] = address
        elif held:
            pool.give_back(next(iter(held)))
            del held[next(iter(held))]


def test_a_full_network_is_told_and_serves_again() -> None:
    pool = AddressPool(IPv4Network("192.0.2.0/30"))
    taken = [pool.take("a"), pool.take("b")]
    assert taken == ["192.0.2.1", "192.0.2.2"]
    with pytest.raises(HollowError, match="every address"):
        pool.take("c")
    pool.give_back("a")
    assert pool.take("c") == taken[0]
