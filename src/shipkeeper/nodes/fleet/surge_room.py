"""Which surges there is room for: the second pod has to run beside the first; pure."""

from collections.abc import Sequence

from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.nodes.fleet.capacity import Capacity
from shipkeeper.nodes.fleet.observe import FleetState
from shipkeeper.nodes.fleet.placement import Misfit
from shipkeeper.nodes.surge import (
    SurgeCandidate,
    SurgeOptions,
    SurgeState,
    surge_candidates,
    with_surges,
)


def admit_surges(
    state: FleetState, scaling: SurgeState, options: SurgeOptions
) -> tuple[FleetState, tuple[Verdict, ...]]:
    """The state with the pods that a surge lets go, and why others are not scaled."""
    candidates, verdicts = surge_candidates(state, scaling, options)
    if not candidates:
        return state, verdicts
    capacity = Capacity(state, ())
    admitted: list[SurgeCandidate] = []
    for node in dict.fromkeys(each.node for each in candidates):
        here = [each for each in candidates if each.node == node]
        misfits = {
            each.pod.uid: each for each in capacity.beside(node, [one.pod_uid for one in here])
        }
        admitted += [each for each in here if each.pod_uid not in misfits]
        verdicts = (*verdicts, *_no_room(here, misfits))
    return with_surges(state, admitted), verdicts


def _no_room(
    candidates: Sequence[SurgeCandidate], misfits: dict[str, Misfit]
) -> tuple[Verdict, ...]:
    verdicts: list[Verdict] = []
    for each in candidates:
        misfit = misfits.get(each.pod_uid)
        if misfit is None:
            continue
        short = f", it is short of {misfit.lack}" if misfit.lack else ""
        verdicts.append(
            Verdict(
                target=f"deployment/{each.key}",
                effect=Effect.WARN,
                reason="NoRoomForSecond",
                message="is not scaled to move its only pod: a second one fits on no other node"
                + short,
                remedy="add a node, or scale something down",
            )
        )
    return tuple(verdicts)
