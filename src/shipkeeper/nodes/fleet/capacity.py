"""Whether what is drained fits elsewhere, worked out before anything is touched; pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.model.scheduling import SchedulablePod
from shipkeeper.model.words import counted
from shipkeeper.nodes.fleet.observe import FleetState
from shipkeeper.nodes.fleet.placement import Misfit, Placement

_NAMED = 5


class Stay(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a node's pods while it, and it alone, is away."""

    bound: tuple[Misfit, ...] = ()
    short: tuple[Misfit, ...] = ()

    @property
    def pending(self) -> tuple[Misfit, ...]:
        """The pods that have to wait until the node is back."""
        return (*self.bound, *self.short)


class Capacity:
    """Asks a placement what happens when nodes are emptied; it is the same again afterwards.

    `moving` holds the uids of the pods that leave their nodes.
    """

    def __init__(self, state: FleetState, moving: Iterable[str]) -> None:
        self._moving = frozenset(moving)
        self._placement = Placement(
            state.cluster,
            state.everything,
            state.volumes,
            disturbed=[node.name for node in state.nodes],
        )

    def without(self, nodes: Sequence[str]) -> tuple[Misfit, ...]:
        """The pods that fit nowhere while these nodes are away together."""
        rooms = self._placement.rooms
        were_open = [name for name in nodes if rooms[name].is_open]
        for name in nodes:
            self._placement.close(name)
        leaving = [(pod, name) for name in nodes for pod in self._leaving(name)]
        for pod, name in leaving:
            self._placement.take(pod, name)
        misfits, placed = self._place([pod for pod, _ in leaving])
        for pod, name in placed:
            self._placement.take(pod, name)
        for pod, name in leaving:
            self._placement.put(pod, name)
        for name in were_open:
            self._placement.reopen(name, is_done=False)
        return misfits

    def stay(self, node: str) -> Stay:
        """What becomes of one node's pods while it is away."""
        misfits = self.without([node])
        return Stay(
            bound=tuple(each for each in misfits if each.is_bound),
            short=tuple(each for each in misfits if not each.is_bound),
        )

    def beside(self, node: str, pods: Collection[str]) -> tuple[Misfit, ...]:
        """Of these pods of a node (by uid) those that have no room for another like them elsewhere.

        They themselves are still there.
        """
        room = self._placement.rooms[node]
        was_open = room.is_open
        self._placement.close(node)
        misfits, placed = self._place([pod for uid, pod in room.pods.items() if uid in pods])
        for pod, name in placed:
            self._placement.take(pod, name)
        if was_open:
            self._placement.reopen(node, is_done=False)
        return misfits

    def _leaving(self, node: str) -> list[SchedulablePod]:
        pods = self._placement.rooms[node].pods.values()
        return [pod for pod in pods if pod.uid in self._moving]

    def _place(
        self, pods: Sequence[SchedulablePod]
    ) -> tuple[tuple[Misfit, ...], list[tuple[SchedulablePod, str]]]:
        """Put pods where they fit, those of high priority first, as the scheduler's queue does."""
        misfits: list[Misfit] = []
        placed: list[tuple[SchedulablePod, str]] = []
        for pod in sorted(pods, key=lambda pod: -pod.spec.priority):
            if pod.metadata.controller is None:
                continue  # nothing makes it again
            chosen = self._placement.choose(pod)
            if isinstance(chosen, Misfit):
                misfits.append(chosen)
            else:
                self._placement.put(pod, chosen)
                placed.append((pod, chosen))
        return tuple(misfits), placed


def bound_by_budget(stay: Stay, state: FleetState) -> Mapping[str, int]:
    """How many pods of each budget are missing while the node is away, by the budget's key."""
    found: Counter[str] = Counter()
    for each in stay.pending:
        for budget in state.budgets_of(each.pod):
            found[budget.key] += 1
    return found


def stay_verdicts(node: str, stay: Stay, *, allow_pending: bool) -> tuple[Verdict, ...]:
    """What a user should know of a node's pods that fit nowhere while it is away."""
    verdicts: list[Verdict] = []
    if stay.bound:
        verdicts.append(_bound(node, stay.bound))
    if stay.short:
        verdicts.append(_short(node, stay.short, allow_pending=allow_pending))
    return tuple(verdicts)


def _bound(node: str, misfits: tuple[Misfit, ...]) -> Verdict:
    return Verdict(
        target=f"node/{node}",
        effect=Effect.WARN,
        reason="BoundToNode",
        message=f"{counted(len(misfits), 'pod')} can run on no other node and will be Pending "
        f"until it is back: {_names(misfits)}",
        remedy="nothing is needed if the application bears it; else give it another place to run",
    )


def _short(node: str, misfits: tuple[Misfit, ...], *, allow_pending: bool) -> Verdict:
    return Verdict(
        target=f"node/{node}",
        effect=Effect.WARN if allow_pending else Effect.BLOCK,
        reason="NoRoomElsewhere",
        message=f"{counted(len(misfits), 'pod')} of it fit nowhere else: {_names(misfits)}",
        remedy="add a node or scale something down; "
        "or bear their being Pending for a while: --allow-pending",
    )


def _names(misfits: tuple[Misfit, ...]) -> str:
    named = [
        f"{each.pod.key} (short of {each.lack})" if each.lack else each.pod.key for each in misfits
    ]
    return ", ".join(named[:_NAMED]) + (" …" if len(named) > _NAMED else "")
