"""Rules 5 to 10 as a pure function: every reason of every pod, and what decides."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.engine.verdict import Effect
from shipkeeper.model.meta import ObjectMeta, OwnerReference
from shipkeeper.model.pod import MIRROR_ANNOTATION, Pod, PodSpec, PodStatus, Volume
from shipkeeper.nodes.filters import FilterInput, apply_filters
from shipkeeper.nodes.observe import ClusterState
from shipkeeper.nodes.options import DrainOptions
from shipkeeper.nodes.plan import PodAction, plan_items

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EMPTY_DIR = Volume(name="scratch", empty_dir={})


def owner(kind: str, name: str = "app") -> OwnerReference:
    return OwnerReference(api_version="apps/v1", kind=kind, name=name, uid="o", controller=True)


def make_pod(
    *,
    controller: str = "ReplicaSet",
    empty_dir: bool = False,
    mirror: bool = False,
    phase: str = "Running",
    deleted_for: float | None = None,
) -> Pod:
    return Pod(
        metadata=ObjectMeta(
            name="p",
            namespace="n",
            uid="u",
            owner_references=(owner(controller),) if controller else (),
            annotations={MIRROR_ANNOTATION: "x"} if mirror else {},
            deletion_timestamp=(
                None if deleted_for is None else NOW - timedelta(seconds=deleted_for)
            ),
        ),
        spec=PodSpec(volumes=(EMPTY_DIR,) if empty_dir else ()),
        status=PodStatus(phase=phase),
    )


def state(daemon_sets: frozenset[str] = frozenset({"n/app"})) -> ClusterState:
    return ClusterState(
        nodes=(),
        pods=(),
        budgets=(),
        daemon_sets=daemon_sets,
        eviction_version="v1",
        budget_version="v1",
    )


def decide(pod: Pod, known: ClusterState | None = None, **options: Any) -> tuple[str, list[str]]:
    (item,) = plan_items((pod,), known or state(), DrainOptions(**options), NOW)
    return item.action, [verdict.reason for verdict in item.verdicts]


ALL_REASONS: list[tuple[dict[str, Any], dict[str, Any], tuple[str, list[str]]]] = [
    ({}, {}, ("Evict", [])),
    ({"controller": ""}, {}, ("Refuse", ["Unreplicated"])),
    ({"controller": ""}, {"force": True}, ("Evict", ["Unreplicated"])),
    ({"controller": "", "phase": "Succeeded"}, {}, ("Evict", [])),
    ({"controller": "Custom"}, {}, ("Evict", [])),
    ({"empty_dir": True}, {}, ("Refuse", ["LocalStorage"])),
    ({"empty_dir": True}, {"delete_emptydir_data": True}, ("Evict", ["LocalStorage"])),
    ({"empty_dir": True, "phase": "Failed"}, {}, ("Evict", [])),
    ({"controller": "DaemonSet"}, {}, ("Refuse", ["DaemonSetManaged"])),
    ({"controller": "DaemonSet"}, {"ignore_daemonsets": True}, ("Skip", ["DaemonSetManaged"])),
    ({"controller": "DaemonSet", "phase": "Succeeded"}, {}, ("Evict", [])),
    ({"mirror": True, "controller": "Node"}, {}, ("Skip", ["MirrorPod"])),
    ({"deleted_for": 11}, {"skip_wait_for_delete_timeout": 10}, ("Skip", ["LongDeleted"])),
    ({"deleted_for": 9}, {"skip_wait_for_delete_timeout": 10}, ("Evict", [])),
    ({"deleted_for": 10**6}, {}, ("Evict", [])),
    (
        {"controller": "", "empty_dir": True},
        {},
        ("Refuse", ["LocalStorage", "Unreplicated"]),
    ),
    (
        {"controller": "DaemonSet", "empty_dir": True},
        {},
        ("Refuse", ["DaemonSetManaged", "LocalStorage"]),
    ),
    (
        {"controller": "DaemonSet", "empty_dir": True},
        {"ignore_daemonsets": True},
        ("Skip", ["DaemonSetManaged", "LocalStorage"]),
    ),
    ({}, {"disable_eviction": True}, ("Delete", [])),
]


@pytest.mark.parametrize(("pod", "options", "expected"), ALL_REASONS)
def test_every_reason_is_told_and_the_first_decides(
    pod: dict[str, Any], options: dict[str, Any], expected: tuple[str, list[str]]
) -> None:
    assert decide(make_pod(**pod), **options) == expected


@pytest.mark.parametrize(("force", "action"), [(False, "Refuse"), (True, "Evict")])
def test_a_daemon_set_that_is_gone_is_an_error_without_force(force: bool, action: str) -> None:
    pod = make_pod(controller="DaemonSet")
    found = decide(pod, state(frozenset()), force=force, ignore_daemonsets=True)
    assert found == (action, ["DaemonSetMissing"])


PODS = st.builds(
    make_pod,
    controller=st.sampled_from(["", "ReplicaSet", "DaemonSet", "Job"]),
    empty_dir=st.booleans(),
    mirror=st.booleans(),
    phase=st.sampled_from(["Running", "Pending", "Succeeded", "Failed"]),
    deleted_for=st.one_of(st.none(), st.floats(-100, 100)),
)
OPTIONS = st.builds(
    DrainOptions,
    force=st.booleans(),
    ignore_daemonsets=st.booleans(),
    delete_emptydir_data=st.booleans(),
    skip_wait_for_delete_timeout=st.integers(0, 50),
)


@given(PODS, OPTIONS)
def test_a_refusal_always_says_what_would_help(pod: Pod, options: DrainOptions) -> None:
    given_ = FilterInput(options=options, daemon_sets=frozenset(), now=NOW)
    for verdict in apply_filters(pod, given_):
        assert verdict.message
        assert verdict.remedy or verdict.effect is not Effect.BLOCK


@given(PODS)
def test_with_every_permission_nothing_is_refused(pod: Pod) -> None:
    options = DrainOptions(force=True, ignore_daemonsets=True, delete_emptydir_data=True)
    (item,) = plan_items((pod,), state(), options, NOW)
    assert item.action != PodAction.REFUSE


@given(PODS, OPTIONS)
def test_mirror_pods_are_never_touched(pod: Pod, options: DrainOptions) -> None:
    if pod.is_mirror:
        (item,) = plan_items((pod,), state(), options, NOW)
        assert item.action in (PodAction.SKIP, PodAction.REFUSE)
