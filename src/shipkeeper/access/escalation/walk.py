"""Walking the graph step by step: where a place leads, and how far each is from each goal. Pure."""

import msgspec

from shipkeeper.access.escalation.edge import Goal, Place
from shipkeeper.access.escalation.graph import EscalationGraph


class Ahead(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A goal that can be come to, and by how many steps at least."""

    goal: Goal
    steps: int


class Onward(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One step from a place; `path` is its number in docs/access.md, 0 what follows by itself."""

    kind: str
    name: str
    path: int
    how: str
    bindings: tuple[str, ...] = ()
    ahead: tuple[Ahead, ...] = ()

    @property
    def distance(self) -> tuple[int, int]:
        """What steps are sorted by: whether they lead to a goal, and how soon."""
        if self.kind == "Goal":
            return (0, 0)
        return (1, min(each.steps for each in self.ahead)) if self.ahead else (2, 0)


class Crossing(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A place and where it leads, what is nearest to a goal first; `left_out` are further ones."""

    kind: str
    name: str
    ahead: tuple[Ahead, ...]
    onward: tuple[Onward, ...]
    left_out: int


def crossing(graph: EscalationGraph, place: Place, most: int = 200) -> Crossing:
    """Where one can go from a place; UnknownPlaceError if there is no such sort of place."""
    edges = graph.edges(place)
    ahead = _ahead(graph, [place, *(edge.target for edge in edges)])
    found = sorted(
        (
            Onward(
                kind=edge.target[0],
                name=edge.target[1],
                path=edge.path,
                how=edge.how,
                bindings=edge.bindings,
                ahead=ahead.get(edge.target, ()),
            )
            for edge in edges
        ),
        key=lambda each: (each.distance, each.kind, each.name, each.path),
    )
    return Crossing(
        kind=place[0],
        name=place[1],
        ahead=ahead.get(place, ()),
        onward=tuple(found[:most]),
        left_out=max(len(found) - most, 0),
    )


def _ahead(graph: EscalationGraph, places: list[Place]) -> dict[Place, tuple[Ahead, ...]]:
    found: dict[Place, list[Ahead]] = {}
    starts = [each for each in dict.fromkeys(places) if each[0] != "Goal"]
    for route in graph.routes(starts):
        found.setdefault(route.start, []).append(Ahead(goal=route.goal, steps=len(route.edges)))
    return {place: tuple(each) for place, each in found.items()}
