"""The ways to the engines, in their order, until one serves."""

from collections.abc import Callable

import msgspec

from shipkeeper.sandbox.assets import debian, golang, installed, release, store
from shipkeeper.sandbox.assets.engines import (
    CONTROL_PLANE,
    Assets,
    AssetsError,
    Kit,
    NotServedError,
    Say,
)
from shipkeeper.sandbox.assets.workshop import Workshop


class _Way(msgspec.Struct, frozen=True):
    title: str
    find: Callable[[str, Say, Kit], Assets]


def _ready(title: str, look: Callable[[str, Kit], Assets]) -> _Way:
    return _Way(title, lambda version, _, kit: look(version, kit))


def _prepared(title: str, source: str, fill: Callable[[Workshop], None]) -> _Way:
    return _Way(title, lambda version, say, kit: store.prepare(version, source, fill, say, kit))


_WAYS = (
    _ready(installed.VARIABLE, installed.named),
    _ready("PATH", installed.on_path),
    _ready("the cache", store.cached),
    _prepared("the official release", "download", release.download),
    _prepared("the Go module proxy", "go", golang.build),
    _prepared("Debian's source package", "debian", debian.build),
)


def find_assets(version: str, say: Say, kit: Kit = CONTROL_PLANE) -> Assets:
    """The engines of `version` (`v1.37.2`) by the first way that serves.

    Blocks for minutes when they must be built; `say` gets one line for each step. AssetsError lists
    each way and why it did not serve.
    """
    refused: list[str] = []
    for way in _WAYS:
        try:
            return way.find(version, say, kit)
        except (NotServedError, OSError) as error:
            reason, *evidence = str(error).splitlines()
            refused += [f"{way.title}: {reason}", *(f"    {line}" for line in evidence)]
            say(f"{version}: not from {way.title}: {reason}")
    raise AssetsError(
        "\n".join([f"no way gives the engines of Kubernetes {version}", *refused]),
        reason="NoEngines",
        hint=f"put {', '.join(kit.names)} into a directory and name it in {installed.VARIABLE}",
    )
