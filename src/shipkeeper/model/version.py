"""Kubernetes versions: MAJOR.MINOR.PATCH with an optional pre-release and vendor suffix."""

import re
from functools import total_ordering

import msgspec

from shipkeeper.errors import UsageError

_VERSION = re.compile(
    r"^v?(?P<major>\d+)\.(?P<minor>\d+)\.(?P<patch>\d+)"
    r"(?:-(?P<stage>alpha|beta|rc)\.(?P<number>\d+))?(?P<suffix>[-+.].*)?$"
)
_STAGES = {"alpha": 0, "beta": 1, "rc": 2, "": 3}


@total_ordering
class Version(msgspec.Struct, frozen=True):
    """A version; alpha < beta < rc < release, and a vendor's suffix does not order."""

    major: int
    minor: int
    patch: int
    stage: str = ""
    number: int = 0
    suffix: str = ""

    @classmethod
    def parse(cls, text: str) -> "Version":
        """Read `v1.37.2`, `1.20.0-rc.1` or `v1.29.1-gke.100`; UsageError otherwise."""
        found = _VERSION.match(text.strip())
        if found is None:
            raise UsageError(
                f"{text!r} is not a Kubernetes version",
                reason="InvalidVersion",
                hint="write MAJOR.MINOR.PATCH, for example v1.37.2",
            )
        return cls(
            int(found["major"]),
            int(found["minor"]),
            int(found["patch"]),
            found["stage"] or "",
            int(found["number"] or 0),
            found["suffix"] or "",
        )

    @property
    def order(self) -> tuple[int, int, int, int, int]:
        """What versions are compared by."""
        return (self.major, self.minor, self.patch, _STAGES[self.stage], self.number)

    def __lt__(self, other: "Version") -> bool:
        return self.order < other.order

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.order == other.order

    def __hash__(self) -> int:
        return hash(self.order)

    def __str__(self) -> str:
        stage = f"-{self.stage}.{self.number}" if self.stage else ""
        return f"v{self.major}.{self.minor}.{self.patch}{stage}{self.suffix}"
