"""What stands against a cluster of etcd being well, and against an upgrade of it. Pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.etcd.members import CORRUPT, Observed, State
from shipkeeper.etcd.status_report import human_size

DEFAULT_QUOTA: Final = 2 << 30
"""What etcd allows a database if nothing else is said (2 GiB)."""
_NEARLY_FULL: Final = 0.8
_FRAGMENTED: Final = 0.5
_WORTH_IT: Final = 64 << 20  # bytes that a defragmentation should free
_LAG: Final = 1000  # entries of the log
_CLUSTER: Final = "etcd"
_SOON: Final = timedelta(days=30)


def assess(observed: Observed, now: datetime) -> tuple[Verdict, ...]:
    """Everything that is worth a word, worst first."""
    found = [
        *_quorum(observed),
        *_unity(observed),
        *_versions(observed),
        *_certificate(observed, now),
    ]
    for state in observed.states:
        found += _failure(state) if state.failure else _member(state, observed)
    return tuple(sorted(found, key=lambda verdict: verdict.effect is not Effect.BLOCK))


def _quorum(observed: Observed) -> Iterator[Verdict]:
    """Whether enough members answer, and whether one more may fail than now."""
    alive, voters = _alive(observed), [each for each in observed.members if not each.is_learner]
    answering = {state.member for state in alive if not state.is_learner}
    need = len(voters) // 2 + 1
    if voters and len(observed.states) >= len(voters) and len(answering) < need:
        yield _block(
            _CLUSTER,
            "NoQuorum",
            f"{len(answering)} of {len(voters)} members answer, {need} are needed",
            "start the other members; if they are lost, restore a snapshot",
        )
    if alive and not answering:
        yield _warn(
            _CLUSTER,
            "MembersUnknown",
            "only learners answer, and those do not tell the members and their alarms",
            "name a member that votes with --endpoints",
        )
    if voters and len(voters) % 2 == 0:
        yield _warn(
            _CLUSTER,
            "EvenMembers",
            f"{len(voters)} members bear no more failures than {len(voters) - 1}",
            "add a member, or remove one",
        )


def _unity(observed: Observed) -> Iterator[Verdict]:
    """Whether all members are of one cluster, with one leader and the same data."""
    alive = _alive(observed)
    if len({state.cluster for state in alive}) > 1:
        yield _block(
            _CLUSTER,
            "DifferentClusters",
            "the endpoints belong to different clusters",
            "restore all members from one snapshot, with one --initial-cluster and token",
        )
    if len({state.leader for state in alive if state.leader}) > 1:
        yield _block(
            _CLUSTER, "TwoLeaders", "members name different leaders", "look at their connections"
        )
    sums = {(state.data.compacted, state.data.hash) for state in alive if state.data}
    if len(sums) > len({compacted for compacted, _ in sums}) or _have_parted(alive):
        yield _block(
            _CLUSTER,
            "DifferentData",
            "members hold different data: they were restored from different snapshots, or one is "
            "corrupt",
            "restore all members from one snapshot",
        )


def _versions(observed: Observed) -> Iterator[Verdict]:
    versions = sorted({state.version for state in _alive(observed)})
    if len(versions) > 1:
        yield _warn(
            _CLUSTER,
            "MixedVersions",
            f"members run {' and '.join(versions)}: an upgrade has begun and not ended",
            "bring all members to one version before the next step",
        )


def _alive(observed: Observed) -> list[State]:
    return [state for state in observed.states if not state.failure]


def _have_parted(alive: list[State]) -> bool:
    """Whether members that applied the same entries of the log came to different revisions."""
    pairs = {(state.applied, state.revision) for state in alive}
    return len(pairs) > len({applied for applied, _ in pairs})


def _certificate(observed: Observed, now: datetime) -> Iterator[Verdict]:
    if not observed.certificate_expires:
        return
    expires = datetime.fromisoformat(observed.certificate_expires)
    if expires < now + _SOON:
        yield _warn(
            _CLUSTER,
            "CertificateExpires",
            f"the client certificate expires on {expires:%Y-%m-%d}",
            "renew it: kubeadm certs renew all",
        )


def _failure(state: State) -> list[Verdict]:
    return [
        _block(
            state.endpoint,
            "MemberUnhealthy",
            state.failure,
            "look at the member's log and certificates",
        )
    ]


def _member(state: State, observed: Observed) -> Iterator[Verdict]:
    at = state.endpoint
    for alarm in observed.alarms:
        if alarm.member == state.member:
            yield _alarm(at, alarm.kind)
    if not state.leader:
        yield _block(
            at, "NoLeader", f"{at} knows no leader", "see whether the others can be reached"
        )
    if state.is_learner:
        yield _warn(
            at, "Learner", f"{at} is a learner and has no vote", "promote it when it caught up"
        )
    if state.index - state.applied > _LAG:
        lag = state.index - state.applied
        yield _warn(at, "RaftLag", f"{at} is {lag} entries behind", "look at its disk's latency")
    quota = state.quota or DEFAULT_QUOTA
    if state.db_size > quota * _NEARLY_FULL:
        told = human_size(quota) if state.quota else f"{human_size(quota)}, the default"
        yield _warn(
            at,
            "NearlyFull",
            f"{at} holds {human_size(state.db_size)} of {told}",
            "defragment it, find what fills it, or raise --quota-backend-bytes",
        )
    holes = state.db_size - state.in_use
    if state.in_use and holes > _WORTH_IT and holes > state.db_size * _FRAGMENTED:
        yield _warn(
            at,
            "Fragmented",
            f"{human_size(holes)} of the {human_size(state.db_size)} of {at} are holes",
            "shipkeeper etcd defrag",
        )


def _alarm(endpoint: str, kind: int) -> Verdict:
    if kind == CORRUPT:
        return _block(
            endpoint,
            "Corrupt",
            f"{endpoint} holds other data than the rest",
            "remove this member and add it anew",
        )
    return _block(
        endpoint,
        "NoSpace",
        f"{endpoint} takes no writes: its quota is used up",
        "compact, defragment, then: etcdctl alarm disarm",
    )


def _block(target: str, reason: str, message: str, remedy: str) -> Verdict:
    return Verdict(
        target=f"member/{target}" if target != _CLUSTER else target,
        effect=Effect.BLOCK,
        reason=reason,
        message=message,
        remedy=remedy,
    )


def _warn(target: str, reason: str, message: str, remedy: str) -> Verdict:
    return Verdict(
        target=f"member/{target}" if target != _CLUSTER else target,
        effect=Effect.WARN,
        reason=reason,
        message=message,
        remedy=remedy,
    )
