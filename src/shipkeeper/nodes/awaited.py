"""What a node must show for somebody else's work on it to be done; pure."""

from enum import StrEnum

import msgspec

from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.errors import UsageError
from shipkeeper.model.node import Node, NodeSystemInfo


class Aspect(StrEnum):
    """What a kubelet tells about its host and itself that maintenance changes."""

    REBOOT = "reboot"
    KERNEL = "kernel"
    OS_IMAGE = "os-image"
    KUBELET = "kubelet"

    @property
    def label(self) -> str:
        """What it is called in messages."""
        labels = {Aspect.REBOOT: "boot ID", Aspect.OS_IMAGE: "OS image"}
        return labels.get(self, str(self))

    def of(self, info: NodeSystemInfo) -> str:
        """What a node shows of it."""
        match self:
            case Aspect.REBOOT:
                return info.boot_id
            case Aspect.KERNEL:
                return info.kernel_version
            case Aspect.OS_IMAGE:
                return info.os_image
            case Aspect.KUBELET:
                return info.kubelet_version


class Awaited(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that must be another than before, or with a `value` exactly that."""

    aspect: Aspect
    value: str = ""

    def __str__(self) -> str:
        return f"{self.aspect}={self.value}" if self.value else str(self.aspect)

    def is_so(self, now: NodeSystemInfo) -> bool:
        """Whether a node shows the value that was asked for."""
        shown = self.aspect.of(now)
        bare = shown.removeprefix("v") if self.aspect is Aspect.KUBELET else shown
        return bool(self.value) and self.value in (shown, bare)

    def holds(self, now: NodeSystemInfo, before: NodeSystemInfo) -> bool:
        """Whether a node shows what is awaited, having shown `before` when it was drained."""
        if self.value:
            return self.is_so(now)
        return bool(self.aspect.of(now)) and self.aspect.of(now) != self.aspect.of(before)


def parse_awaited(text: str) -> Awaited:
    """Read `reboot`, `kernel`, `os-image`, `kubelet`, all but the first also with `=VALUE`."""
    word, equals, value = (part.strip() for part in text.partition("="))
    if word not in set(Aspect) or (equals and (not value or word == Aspect.REBOOT)):
        raise UsageError(
            f"{text!r} cannot be waited for",
            reason="BadWaitFor",
            hint="wait for reboot, kernel, os-image or kubelet, or for a value: kernel=6.12.9",
        )
    return Awaited(aspect=Aspect(word), value=value)


def missing(
    awaited: tuple[Awaited, ...], now: NodeSystemInfo, before: NodeSystemInfo
) -> tuple[str, ...]:
    """What is awaited and not there, each with what the node shows instead; empty when done."""
    return tuple(
        f"{each} (its {each.aspect.label} is still {each.aspect.of(now) or 'unknown'})"
        for each in awaited
        if not each.holds(now, before)
    )


def already_so(node: Node, awaited: tuple[Awaited, ...]) -> Verdict | None:
    """The verdict on a node that shows every value that was asked for; None if it must be done."""
    if not awaited or not all(each.is_so(node.status.node_info) for each in awaited):
        return None
    return Verdict(
        target=f"node/{node.name}",
        effect=Effect.SKIP,
        reason="AlreadySo",
        message=f"it has {', '.join(map(str, awaited))} already, so it is left alone",
    )
