"""The versions of a cluster by minor number, and how moves change them; pure.

A shape is all that the skew policy knows of a cluster. What is installed and what runs are told
apart for kubelets: a machine that boots, or a kubelet that crashes, runs what is installed.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum

import msgspec

from shipkeeper.upgrade.policy import (
    KUBELET_DRAINED_FIRST,
    Rule,
    judge_api_servers,
    judge_controller,
    judge_hop,
    judge_kubelet,
    judge_proxy,
)


class Member(msgspec.Struct, frozen=True):
    """One control plane: its API server, and its controller manager and scheduler (the older)."""

    name: str
    api_server: int
    controllers: int


class Worker(msgspec.Struct, frozen=True):
    """A node's kubelet and kube-proxy, control-plane nodes included; no proxy is None."""

    name: str
    kubelet: int
    proxy: int | None
    installed: int
    drained: bool = False

    @classmethod
    def of(cls, name: str, kubelet: int, proxy: int | None) -> "Worker":
        """A node that runs what is installed."""
        return cls(name, kubelet, proxy, kubelet)


class Shape(msgspec.Struct, frozen=True):
    """A cluster; with `shared`, controllers may reach any API server, else only their own."""

    members: tuple[Member, ...]
    workers: tuple[Worker, ...]
    shared: bool

    @property
    def oldest(self) -> int:
        """The minor of the oldest API server."""
        return min(each.api_server for each in self.members)

    @property
    def newest(self) -> int:
        """The minor of the newest API server."""
        return max(each.api_server for each in self.members)


class Change(StrEnum):
    """What a move changes."""

    PIN = "pin"
    API_SERVER = "api-server"
    CONTROLLERS = "controllers"
    PROXY = "proxy"
    DRAIN = "drain"
    INSTALL = "install"
    RESTART = "restart"
    UNCORDON = "uncordon"


OF_MEMBERS = frozenset({Change.PIN, Change.API_SERVER, Change.CONTROLLERS})


class Move(msgspec.Struct, frozen=True):
    """One change on one control plane or node, to a minor where it is about a version."""

    change: Change
    target: str = ""
    minor: int = 0


class Breach(msgspec.Struct, frozen=True):
    """A rule that is broken, and by what."""

    rule: Rule
    by: str


def breaches(shape: Shape) -> Iterator[Breach]:
    """Every rule that a state of a cluster breaks."""
    oldest, newest = shape.oldest, shape.newest
    if rule := judge_api_servers(oldest, newest):
        yield Breach(rule, f"API servers of 1.{oldest} and 1.{newest}")
    for each in shape.members:
        reached = (oldest, newest) if shape.shared else (each.api_server, each.api_server)
        if rule := judge_controller(each.controllers, *reached):
            yield Breach(rule, f"controllers 1.{each.controllers} of {each.name}")
    for node in shape.workers:
        if rule := judge_kubelet(node.kubelet, oldest, newest):
            yield Breach(rule, f"kubelet 1.{node.kubelet} of {node.name}")
        if node.proxy is not None and (
            rule := judge_proxy(node.proxy, node.kubelet, oldest, newest)
        ):
            yield Breach(rule, f"kube-proxy 1.{node.proxy} of {node.name}")


def broken_by(shape: Shape, move: Move) -> Rule | None:
    """The rule that a move breaks by itself, whatever state it leads to."""
    if move.change is Change.API_SERVER:
        return judge_hop(_member(shape, move.target).api_server, move.minor)
    if move.change is Change.RESTART:
        node = _worker(shape, move.target)
        if node.installed != node.kubelet and not node.drained:
            return KUBELET_DRAINED_FIRST
    return None


def after(shape: Shape, move: Move) -> Shape:
    """The cluster after a move."""
    match move.change:
        case Change.PIN:
            return msgspec.structs.replace(shape, shared=False)
        case Change.API_SERVER | Change.CONTROLLERS:
            return _with_member(shape, move)
        case _:
            return _with_worker(shape, move)


def through(shape: Shape, moves: Iterable[Move]) -> Shape:
    """The cluster after many moves; nodes are kept by name, for there may be thousands."""
    workers = {each.name: each for each in shape.workers}
    rest = msgspec.structs.replace(shape, workers=())
    for move in moves:
        if move.change in OF_MEMBERS:
            rest = after(rest, move)
        else:
            workers[move.target] = _moved(workers[move.target], move)
    return msgspec.structs.replace(rest, workers=tuple(workers.values()))


def _with_member(shape: Shape, move: Move) -> Shape:
    field = "api_server" if move.change is Change.API_SERVER else "controllers"
    members = tuple(
        msgspec.structs.replace(each, **{field: move.minor}) if each.name == move.target else each
        for each in shape.members
    )
    return msgspec.structs.replace(shape, members=members)


def _with_worker(shape: Shape, move: Move) -> Shape:
    workers = tuple(
        _moved(each, move) if each.name == move.target else each for each in shape.workers
    )
    return msgspec.structs.replace(shape, workers=workers)


def _moved(node: Worker, move: Move) -> Worker:
    replace = msgspec.structs.replace
    match move.change:
        case Change.PROXY:
            return node if node.proxy is None else replace(node, proxy=move.minor)
        case Change.DRAIN:
            return replace(node, drained=True)
        case Change.INSTALL:
            return replace(node, installed=move.minor)
        case Change.RESTART:
            return replace(node, kubelet=node.installed)
        case _:
            return replace(node, drained=False)


def _member(shape: Shape, name: str) -> Member:
    return next(each for each in shape.members if each.name == name)


def _worker(shape: Shape, name: str) -> Worker:
    return next(each for each in shape.workers if each.name == name)
