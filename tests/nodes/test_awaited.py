import pytest

from shipkeeper.errors import UsageError
from shipkeeper.model.meta import ObjectMeta
from shipkeeper.model.node import Node, NodeStatus, NodeSystemInfo
from shipkeeper.nodes.awaited import already_so, missing, parse_awaited

BEFORE = NodeSystemInfo(
    boot_id="a", kernel_version="6.1", os_image="Linux 1", kubelet_version="v1.36.0"
)


def awaited(*texts: str) -> tuple[str, ...]:
    """What is missing on a node that was rebooted with another kernel."""
    now = NodeSystemInfo(
        boot_id="b", kernel_version="6.2", os_image="Linux 1", kubelet_version="v1.36.0"
    )
    return missing(tuple(map(parse_awaited, texts)), now, BEFORE)


@pytest.mark.parametrize(
    "texts",
    [
        ("reboot",),
        ("kernel",),
        ("kernel=6.2",),
        ("reboot", "kernel = 6.2"),
        ("kubelet=v1.36.0",),
        ("kubelet=1.36.0",),
        ("os-image=Linux 1",),
    ],
)
def test_it_is_there(texts: tuple[str, ...]) -> None:
    assert awaited(*texts) == ()


@pytest.mark.parametrize(
    ("texts", "left"),
    [
        (("os-image",), "os-image (its OS image is still Linux 1)"),
        (("kernel=6.22",), "kernel=6.22 (its kernel is still 6.2)"),
        (("kernel=6",), "kernel=6 (its kernel is still 6.2)"),
        (("kernel=v6.2",), "kernel=v6.2 (its kernel is still 6.2)"),
        (("reboot", "kubelet"), "kubelet (its kubelet is still v1.36.0)"),
    ],
)
def test_it_is_not(texts: tuple[str, ...], left: str) -> None:
    assert awaited(*texts) == (left,)


def test_a_node_that_says_nothing_has_not_changed() -> None:
    assert missing((parse_awaited("reboot"),), NodeSystemInfo(), BEFORE) == (
        "reboot (its boot ID is still unknown)",
    )


@pytest.mark.parametrize("text", ["", "reboot=x", "kernel=", "colour", "=1"])
def test_nonsense(text: str) -> None:
    with pytest.raises(UsageError):
        parse_awaited(text)


def test_only_values_can_be_so_already() -> None:
    node = Node(metadata=ObjectMeta(name="n"), status=NodeStatus(node_info=BEFORE))
    verdict = already_so(node, (parse_awaited("kernel=6.1"), parse_awaited("kubelet=1.36.0")))
    assert verdict is not None
    assert verdict.message == "it has kernel=6.1, kubelet=1.36.0 already, so it is left alone"
    assert already_so(node, (parse_awaited("kernel=6.1"), parse_awaited("reboot"))) is None
    assert already_so(node, (parse_awaited("kernel=6.2"),)) is None
    assert already_so(node, ()) is None
