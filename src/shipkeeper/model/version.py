"""Kubernetes versions: MAJOR.MINOR.PATCH with an optional pre-release and vendor suffix."""

import re
from functools import total_ordering

import msgspec

from shipkeeper.errors import UsageError

_VERSION = re.compile(
    r"^v?(?P<major>\d+)\.(?P<minor>\d+)\.(?P<patch>\d+)"
    r"(?:-(?P<stage>alpha|beta|rc)\.(?P<number>\d+)(?:\.(?P<commits>\d+))?)?"
    r"(?P<suffix>[-+.].*)?$"
)
_STAGES = {"alpha": 0, "beta": 1, "rc": 2, "": 3}
# What vendors append. As image tags cannot hold a plus sign, it may be a hyphen there; by the rules
# of semantic versions what follows a hyphen would be older than the release, which it is not.
_VENDORS = re.compile(
    r"^[-+.](k3s|rke2r|k0s|gke|eks|aliyun|tke|vmware|mirantis|hotfix|okd|r|cce)[-.]?\w*",
    re.IGNORECASE,
)


@total_ordering
class Version(msgspec.Struct, frozen=True):
    """A version; alpha < beta < rc < release, and a vendor's suffix does not order.

    `commits` counts those since a pre-release, as in the builds of every commit.
    """

    major: int
    minor: int
    patch: int
    stage: str = ""
    number: int = 0
    suffix: str = ""
    commits: int = 0

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
            int(found["commits"] or 0),
        )

    @property
    def order(self) -> tuple[int, int, int, int, int, int]:
        """What versions are compared by."""
        stage = _STAGES[self.stage]
        return (self.major, self.minor, self.patch, stage, self.number, self.commits)

    @property
    def vendor(self) -> str:
        """Whose build it is by its suffix (`k3s`, `eks`), empty for Kubernetes' own and others."""
        found = _VENDORS.match(self.suffix)
        return found[1].lower() if found else ""

    @property
    def is_prerelease(self) -> bool:
        """Whether it came before the release that it is named after."""
        return bool(self.stage)

    def __lt__(self, other: "Version") -> bool:
        return self.order < other.order

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.order == other.order

    def __hash__(self) -> int:
        return hash(self.order)

    def __str__(self) -> str:
        stage = f"-{self.stage}.{self.number}" if self.stage else ""
        stage += f".{self.commits}" if self.commits else ""
        return f"v{self.major}.{self.minor}.{self.patch}{stage}{self.suffix}"
