"""Fleet: the nodes as a map and as a table, and why a drain of one would be blocked."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.routing import Route

from shipkeeper.kube.access import Permission
from shipkeeper.kube.resources import BUDGETS, DAEMON_SETS, NODES, PODS
from shipkeeper.nodes.choosing import FleetRow, arranged, fleet_row, parse_filter
from shipkeeper.nodes.current import CurrentInventory
from shipkeeper.nodes.explain import NodeExplanation, explain_drain
from shipkeeper.nodes.inventory import NodeRow
from shipkeeper.nodes.inventory_report import obstacles_in_short
from shipkeeper.nodes.options import DrainOptions
from shipkeeper.nodes.pools import pool_label_of, pool_of
from shipkeeper.web.answers import convert_query
from shipkeeper.web.console import Console
from shipkeeper.web.page import PageInfo, Query
from shipkeeper.web.pages.planning import Planning
from shipkeeper.web.person import Person
from shipkeeper.web.view import View

SEES_NODES = tuple(
    Permission(verb="list", resource=each) for each in (NODES, PODS, BUDGETS, DAEMON_SETS)
)
_WINDOW = 400
_VIEWS = 64  # that are kept of one state
_USUAL = DrainOptions(ignore_daemonsets=True)


class FleetQuery(msgspec.Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """Which rows: a filter and an order of nodes/choosing.py, a window, and a node to explain."""

    q: str = ""
    sort: str = "fitness"
    from_: int = 0
    to: int = 60
    node: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be sorted or filtered by."""
        parse_filter(self.q)
        arranged((), self.sort)


class Cell(msgspec.Struct, frozen=True, rename="camel"):
    """A node on the map; `match` tells whether the filter lets it through."""

    name: str
    zone: str
    pool: str
    fitness: str
    is_match: bool = msgspec.field(name="match")


class TableRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A node in the table."""

    name: str
    zone: str
    pool: str
    fitness: str
    status: str
    kubelet: str
    kernel: str
    os_image: str
    runtime: str
    pods: int
    created: datetime | None
    cordoned_by: str
    obstacles: str


class Detail(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A node with everything that is to be said of a drain."""

    row: TableRow
    labels: dict[str, str]
    explanation: NodeExplanation


class _Made(msgspec.Struct, frozen=True):
    """What a row of the inventory comes to, made once; its cells by whether they match."""

    row: NodeRow
    fleet: FleetRow
    shown: TableRow
    cells: tuple[Cell, Cell]


class FleetPage:
    """The page; rows that did not change are made once for everybody who looks."""

    info = PageInfo(name="fleet", title="Fleet", needs=SEES_NODES)

    def __init__(self, console: Console) -> None:
        self._observer = console.observer
        self._planning = Planning(console)
        self._rows: dict[str, _Made] = {}
        self._seen: tuple[CurrentInventory | None, int] = (None, -1)
        self._sorted: dict[str, Sequence[FleetRow]] = {}
        # Many look at the same, and see it in one and the same view.
        self._views: dict[FleetQuery, View] = {}
        self._pool_label = ""

    def routes(self) -> list[Route]:
        """What can be planned from here."""
        return self._planning.routes()

    def parse(self, query: Query) -> FleetQuery:
        """Which rows are looked at."""
        return convert_query(query, FleetQuery)

    def version(self, person: Person, asked: FleetQuery) -> Hashable:
        """Any change of the cluster may change it."""
        return (id(self._observer.inventory), self._observer.version)

    async def look(self, person: Person, asked: FleetQuery) -> View:
        """The head, every node as a cell of the map, the rows of the window, and one node."""
        inventory = self._observer.inventory
        if inventory is None:
            return View()
        rows = self._current(inventory)
        view = self._views.get(asked)
        if view is None:
            view = self._view(inventory, rows, asked)
            if len(self._views) >= _VIEWS:
                self._views.clear()
            self._views[asked] = view
        return view

    def _view(
        self, inventory: CurrentInventory, rows: Mapping[str, _Made], asked: FleetQuery
    ) -> View:
        matches = parse_filter(asked.q)
        matching = [each for each in self._arranged(asked.sort) if matches(each)]
        first = max(asked.from_, 0)
        shown = matching[first : min(max(asked.to, first), first + _WINDOW)]
        names = {each.row.name for each in matching}
        items: dict[str, object] = {
            "head": self._head(rows, len(matching), first),
            **{f"cell/{name}": each.cells[name in names] for name, each in rows.items()},
            **{f"row/{each.row.name}": rows[each.row.name].shown for each in shown},
        }
        if asked.node in rows:
            items["detail"] = self._detail(inventory, asked.node)
        return View(items, tuple(f"row/{each.row.name}" for each in shown))

    def _head(self, rows: Mapping[str, _Made], matching: int, first: int) -> dict[str, Any]:
        return {
            "total": len(rows),
            "matching": matching,
            "from": first,
            "pods": sum(each.row.pods for each in rows.values()),
            "fitness": Counter(str(each.fleet.fitness) for each in rows.values()),
            "versions": Counter(each.row.kubelet_version for each in rows.values()),
            "poolLabel": self._pool_label,
        }

    def _current(self, inventory: CurrentInventory) -> Mapping[str, _Made]:
        if self._seen != (inventory, inventory.version):
            self._seen = (inventory, inventory.version)
            self._renew(inventory)
        return self._rows

    def _renew(self, inventory: CurrentInventory) -> None:
        nodes = inventory.nodes.objects
        self._pool_label = pool_label_of(nodes.values())
        known, self._rows = self._rows, {}
        for name, row in inventory.rows().items():
            pool = pool_of(nodes[name], self._pool_label)
            found = known.get(name)
            if found is None or found.row is not row or found.fleet.pool != pool:
                found = _make(row, pool)
            self._rows[name] = found
        self._sorted = {}
        self._views = {}

    def _arranged(self, sort: str) -> Sequence[FleetRow]:
        found = self._sorted.get(sort)
        if found is None:
            found = arranged((each.fleet for each in self._rows.values()), sort)
            self._sorted[sort] = found
        return found

    def _detail(self, inventory: CurrentInventory, name: str) -> Detail:
        (explanation,) = explain_drain(inventory.state([name]), _USUAL, datetime.now(UTC))
        return Detail(
            row=self._rows[name].shown,
            labels=inventory.nodes.objects[name].metadata.labels,
            explanation=explanation,
        )


def _make(row: NodeRow, pool: str) -> _Made:
    fleet = fleet_row(row, pool)
    off, on = (
        Cell(row.name, row.zone, pool, fleet.fitness, is_match) for is_match in (False, True)
    )
    return _Made(row, fleet, _table_row(fleet), (off, on))


def _table_row(found: FleetRow) -> TableRow:
    row = found.row
    return TableRow(
        name=row.name,
        zone=row.zone,
        pool=found.pool,
        fitness=found.fitness,
        status=row.status,
        kubelet=row.kubelet_version,
        kernel=row.kernel_version,
        os_image=row.os_image,
        runtime=row.container_runtime_version,
        pods=row.pods,
        created=row.creation_timestamp,
        cordoned_by=row.cordoned_by if row.unschedulable else "",
        obstacles=obstacles_in_short(row.obstacles),
    )
