"""Acting as somebody else: kubectl's --as, or a kubeconfig user's `as` fields."""

from urllib.parse import quote

import msgspec


class Impersonation(msgspec.Struct, frozen=True):
    """Whom to act as, with the field names of a kubeconfig user; nobody by default."""

    user: str | None = msgspec.field(default=None, name="as")
    uid: str | None = msgspec.field(default=None, name="as-uid")
    groups: tuple[str, ...] | None = msgspec.field(default=None, name="as-groups")
    extra: dict[str, tuple[str, ...]] | None = msgspec.field(default=None, name="as-user-extra")

    def headers(self) -> list[tuple[str, str]]:
        """The request headers that ask for it; a group or extra value has a header each."""
        asked = [("Impersonate-User", self.user), ("Impersonate-Uid", self.uid)]
        asked += [("Impersonate-Group", group) for group in self.groups or ()]
        for key, values in (self.extra or {}).items():
            asked += [(f"Impersonate-Extra-{quote(key, safe='')}", value) for value in values]
        return [(name, value) for name, value in asked if value]
