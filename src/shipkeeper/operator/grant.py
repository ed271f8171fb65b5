"""One rule of a role, and what it is for."""

from typing import Any

import msgspec

_READS = frozenset({"get", "list", "watch"})


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of a role, and what it is for; over resources, or over `urls` that are none."""

    group: str = ""
    resources: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    why: str

    @property
    def reading(self) -> "Grant | None":
        """What is left of it for somebody who may only look; None if that is nothing."""
        verbs = tuple(each for each in self.verbs if each in _READS)
        return msgspec.structs.replace(self, verbs=verbs) if verbs else None

    @property
    def rule(self) -> dict[str, Any]:
        """The rule as RBAC has it."""
        if self.urls:
            return {"nonResourceURLs": list(self.urls), "verbs": list(self.verbs)}
        found: dict[str, Any] = {
            "apiGroups": [self.group],
            "resources": list(self.resources),
            "verbs": list(self.verbs),
        }
        return {**found, "resourceNames": list(self.names)} if self.names else found
