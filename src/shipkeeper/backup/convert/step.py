"""One step from a version to the next."""

from collections.abc import Callable, Iterable

import msgspec

from shipkeeper.backup.manifest import Manifest
from shipkeeper.errors import ShipkeeperError


class UnconvertibleError(ShipkeeperError):
    """The object cannot be had in any version that the target serves; the message says why."""


def _unchanged(_manifest: Manifest) -> None:
    """The versions have the same fields with the same meaning."""


class Step(msgspec.Struct, frozen=True):
    """Where to (`apiVersion`), and what changes besides; `change` works on the object itself.

    It raises UnconvertibleError when the newer version cannot say what the older one did.
    """

    api_version: str
    change: Callable[[Manifest], None] = _unchanged


Steps = dict[tuple[str, str], Step]
"""Steps by the (apiVersion, kind) that they begin at."""


def renamed(group: str, versions: Iterable[str], to: str, *kinds: str) -> Steps:
    """Steps from each of a group's versions straight to another with the same fields."""
    return {
        (f"{group}/{version}", kind): Step(f"{group}/{to}")
        for version in versions
        for kind in kinds
    }


def unconvertible(message: str) -> UnconvertibleError:
    """Make the error of a step that cannot be taken."""
    return UnconvertibleError(message, reason="Unconvertible", hint="create a successor by hand")
