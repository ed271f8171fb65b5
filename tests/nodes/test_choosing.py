"""What a search box over nodes understands, and how nodes are put in order."""

import pytest

from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.errors import UsageError
from shipkeeper.nodes.choosing import ORDERS, FleetRow, arranged, fleet_row, natural, parse_filter
from shipkeeper.nodes.inventory import NodeRow


def node(name: str, **given: object) -> FleetRow:
    values: dict[str, object] = {
        "status": "Ready",
        "roles": (),
        "creation_timestamp": None,
        "kubelet_version": "v1.36.3",
        "kernel_version": "6.12.8",
        "os_image": "Debian",
        "container_runtime_version": "containerd://2",
        "zone": "zone-a",
        "internal_ip": "10.0.0.1",
        "pods": 1,
        "unschedulable": False,
        "cordoned_by": "",
        "obstacles": (),
        **given,
    }
    return fleet_row(NodeRow(name=name, **values), "web")  # pyright: ignore[reportArgumentType]


def hindered(effect: Effect) -> tuple[Verdict, ...]:
    return (Verdict(target="pod/a/b", effect=effect, reason="BudgetExhausted", message="no"),)


FLEET = (
    node("node-10", zone="zone-b", pods=3),
    node("node-2", obstacles=hindered(Effect.BLOCK), pods=7),
    node("node-1", kubelet_version="v1.35.9", unschedulable=True),
    node("node-3", status="NotReady", pods=2),
    node("node-4", obstacles=hindered(Effect.WAIT)),
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "node-10 node-2 node-1 node-3 node-4"),
        ("node-1", "node-10 node-1"),
        ("zone:zone-b", "node-10"),
        ("ZONE:Zone-A is:blocked", "node-2"),
        ("-is:ready -is:down", "node-2 node-1 node-4"),
        ("is:cordoned", "node-1"),
        ("version:1.36 -node-10", "node-2 node-3 node-4"),
        ("reason:budgetexhausted", "node-2 node-4"),
        ("pool:web is:waiting", "node-4"),
        ("nothing", ""),
        ("containerd://2 is:ready", "node-10"),
    ],
)
def test_filters(text: str, found: str) -> None:
    matches = parse_filter(text)
    assert [each.row.name for each in FLEET if matches(each)] == found.split()


def test_an_unknown_key_is_said() -> None:
    with pytest.raises(UsageError, match="colour: is nothing to filter"):
        parse_filter("colour:red")


@pytest.mark.parametrize(
    ("order", "first", "last"),
    [
        ("name", "node-1", "node-10"),
        ("-name", "node-10", "node-1"),
        ("fitness", "node-3", "node-10"),
        ("-pods", "node-2", "node-4"),
        ("zone", "node-1", "node-10"),
        ("version", "node-1", "node-10"),
    ],
)
def test_orders(order: str, first: str, last: str) -> None:
    names = [each.row.name for each in arranged(FLEET, order)]
    assert (names[0], names[-1]) == (first, last)


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_takes_every_fleet(order: str) -> None:
    assert len(arranged(FLEET, order)) == len(arranged(FLEET, f"-{order}")) == len(FLEET)


def test_numbers_in_names_are_numbers() -> None:
    assert sorted(["a10", "a9", "b1", "a"], key=natural) == ["a", "a9", "a10", "b1"]
