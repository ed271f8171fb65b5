"""What is said over the control socket: one JSON object a line, a Reply to every Request."""

import msgspec

from shipkeeper.model.base import KubeStruct
from shipkeeper.sandbox.hollow.values import NodeGroup, NodeReport, Seconds

# A line may name thousands of nodes.
LINE_LIMIT = 16 * 1024 * 1024


class AddNodes(KubeStruct, frozen=True, kw_only=True, tag_field="do", tag="addNodes"):
    """Register nodes; answered, with their names, when pods can be scheduled to them."""

    group: NodeGroup


class RemoveNodes(KubeStruct, frozen=True, kw_only=True, tag_field="do", tag="removeNodes"):
    """Take nodes away, with their leases and pods; answered when nothing is left of them."""

    names: tuple[str, ...]


class Amend(KubeStruct, frozen=True, kw_only=True, tag_field="do", tag="amend"):
    """Change how a node behaves; what is None stays as it is."""

    node: str
    ready_after: Seconds | None = None
    stops_after: Seconds | None = None
    heartbeats: bool | None = None
    hangs_deletions: bool | None = None


class HangPod(KubeStruct, frozen=True, kw_only=True, tag_field="do", tag="hangPod"):
    """Keep one pod from ever being gone once it is deleted, or let it go again."""

    namespace: str
    name: str
    hangs: bool


class Reboot(KubeStruct, frozen=True, kw_only=True, tag_field="do", tag="reboot"):
    """Let a node go dark and come back with another bootID; answered when it is dark."""

    node: str
    down_for: Seconds
    kernel_version: str | None = None
    os_image: str | None = None
    mark_not_ready: bool = True


class ListNodes(KubeStruct, frozen=True, kw_only=True, tag_field="do", tag="listNodes"):
    """Tell of every node."""


Request = AddNodes | RemoveNodes | Amend | HangPod | Reboot | ListNodes


class Problem(KubeStruct, frozen=True, kw_only=True):
    """Why a request was not carried out."""

    message: str
    reason: str
    hint: str = ""


class Reply(KubeStruct, frozen=True, kw_only=True):
    """The answer to a request: the names or nodes it asked for, or the problem."""

    names: tuple[str, ...] = ()
    nodes: tuple[NodeReport, ...] = ()
    problem: Problem | None = None


request_decoder = msgspec.json.Decoder(Request)
reply_decoder = msgspec.json.Decoder(Reply)
