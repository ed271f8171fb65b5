"""From what the user asks for (`newest`, `1.36`, `v1.37.2`) to one full version."""

import re
from collections.abc import Callable

from shipkeeper.errors import UsageError
from shipkeeper.sandbox.assets import golang, release, store
from shipkeeper.sandbox.assets.engines import NotServedError
from shipkeeper.sandbox.assets.versions import NEWEST, OLDEST, version_key

_NAMED = {"newest": NEWEST, "oldest": OLDEST}
_OLDEST_MINOR = version_key(OLDEST)[1]
_FULL = re.compile(r"v?(1\.\d+\.\d+(?:-[0-9a-z.]+)?)")
_MINOR = re.compile(r"v?1\.(\d+)")


def resolve_version(asked: str) -> str:
    """The full version for `newest`, `oldest`, a minor (its newest patch) or a full version.

    A full version is taken at its word: only find_assets can tell whether it can be had.
    UsageError for anything else, naming what can be had.
    """
    if asked in _NAMED:
        return _NAMED[asked]
    if full := _FULL.fullmatch(asked):
        version = f"v{full[1]}"
        _require_supported(version_key(version)[1])
        return version
    if minor := _MINOR.fullmatch(asked):
        _require_supported(int(minor[1]))
        return _newest_patch(int(minor[1]))
    raise UsageError(
        f"{asked!r} is not a Kubernetes version", reason="NoSuchVersion", hint=_what_can_be_had()
    )


def _require_supported(minor: int) -> None:
    if minor < _OLDEST_MINOR:
        raise UsageError(
            f"Kubernetes 1.{minor} is older than 1.{_OLDEST_MINOR}, the oldest that is supported",
            reason="VersionTooOld",
            hint=_what_can_be_had(),
        )


def _newest_patch(minor: int) -> str:
    for version in (NEWEST, OLDEST):
        if version_key(version)[1] == minor:
            return version
    sources: tuple[Callable[[int], str], ...] = (release.newest_patch, _listed_by_go, _in_cache)
    for newest_patch in sources:
        try:
            return newest_patch(minor)
        except NotServedError:
            continue
    raise UsageError(
        f"no release of Kubernetes 1.{minor} can be had",
        reason="NoSuchVersion",
        hint=_what_can_be_had(),
    )


def _listed_by_go(minor: int) -> str:
    return _newest_of(minor, golang.listed_versions(golang.KUBERNETES))


def _in_cache(minor: int) -> str:
    return _newest_of(minor, store.cached_versions())


def _newest_of(minor: int, versions: list[str]) -> str:
    patches = [version for version in versions if version_key(version)[1] == minor]
    if not patches:
        raise NotServedError(f"none of 1.{minor}")
    return max(patches, key=version_key)


def _what_can_be_had() -> str:
    named = ", ".join(f"{name} ({version})" for name, version in _NAMED.items())
    try:
        listed = golang.listed_versions(golang.KUBERNETES)
    except NotServedError:
        listed = store.cached_versions()
    minors = sorted({version_key(version)[1] for version in (*listed, NEWEST, OLDEST)})
    supported = ", ".join(f"1.{minor}" for minor in minors if minor >= _OLDEST_MINOR)
    return f"ask for {named}, a full version such as {NEWEST}, or a minor version: {supported}"
