"""What is known beforehand: releases and their ends, removed APIs, flags and gates by minor.

The files under `data/` are derived by the scripts in `tools/`; each row names its source.
"""

from datetime import date
from functools import cached_property, lru_cache
from importlib.resources import files

import msgspec

from shipkeeper.model.version import Version


class Removal(msgspec.Struct, frozen=True, kw_only=True):
    """A kind in a version that stops being served with minor `removed`; 0 is not told."""

    group: str
    version: str
    kind: str
    introduced: int
    deprecated: int
    removed: int
    replacement: str
    source: str

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its manifests."""
        return f"{self.group}/{self.version}" if self.group else self.version


class _Apis(msgspec.Struct, frozen=True):
    releases: dict[str, str]
    apis: tuple[Removal, ...]


class _Releases(msgspec.Struct, frozen=True, rename="camel"):
    end_of_life: dict[int, date]


class Lock(msgspec.Struct, frozen=True):
    """From which minor on a gate can only have one value."""

    since: int
    to: bool


class Settings(msgspec.Struct, frozen=True):
    """The first and the last minor that know each flag, by component, and each gate."""

    minors: tuple[int, int]
    flags: dict[str, dict[str, tuple[int, int]]]
    gates: dict[str, tuple[int, int]]
    locked: dict[str, Lock]

    def flag_ends(self, component: str, flag: str) -> int | None:
        """The last minor that takes a flag; None if it is not known to end."""
        return self._end(self.flags.get(component, {}).get(flag))

    def gate_ends(self, gate: str) -> int | None:
        """The last minor that takes a gate; None if it is not known to end."""
        return self._end(self.gates.get(gate))

    def _end(self, known: tuple[int, int] | None) -> int | None:
        return known[1] if known is not None and known[1] < self.minors[1] else None


class Catalog:
    """Everything under `data/`, read when it is asked for."""

    @cached_property
    def _apis(self) -> _Apis:
        return msgspec.json.decode(_read("apis.json"), type=_Apis)

    @cached_property
    def _releases(self) -> _Releases:
        return msgspec.json.decode(_read("releases.json"), type=_Releases)

    @cached_property
    def settings(self) -> Settings:
        """Flags and gates."""
        return msgspec.json.decode(_read("settings.json"), type=Settings)

    @property
    def removals(self) -> tuple[Removal, ...]:
        """Every API whose end is known, the earliest first."""
        return self._apis.apis

    @cached_property
    def removal_of(self) -> dict[tuple[str, str], Removal]:
        """The same by apiVersion and kind."""
        return {(each.api_version, each.kind): each for each in self.removals}

    def latest(self, minor: int) -> Version | None:
        """The last patch of a minor that was out when this shipkeeper was made."""
        text = self._apis.releases.get(f"1.{minor}")
        return Version.parse(text) if text else None

    @property
    def newest_minor(self) -> int:
        """The newest minor that is known here."""
        return max(int(each.partition(".")[2]) for each in self._apis.releases)

    def end_of_life(self, minor: int) -> date | None:
        """The day after which a minor gets no patches any more."""
        return self._releases.end_of_life.get(minor)


@lru_cache(maxsize=1)
def catalog() -> Catalog:
    """The one catalog of this process."""
    return Catalog()


def _read(name: str) -> bytes:
    return files("shipkeeper.upgrade").joinpath("data", name).read_bytes()
