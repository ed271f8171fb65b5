"""One rule of a role, and what it is for."""

from typing import Any

import msgspec


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of a role, and what it is for."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    why: str

    @property
    def rule(self) -> dict[str, Any]:
        """The rule as RBAC has it."""
        found: dict[str, Any] = {
            "apiGroups": [self.group],
            "resources": list(self.resources),
            "verbs": list(self.verbs),
        }
        return {**found, "resourceNames": list(self.names)} if self.names else found
