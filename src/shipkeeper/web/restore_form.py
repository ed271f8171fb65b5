"""A restore as the page asks for it: the options of a plan, and the same as a command line."""

import msgspec

from shipkeeper.backup.restore_options import Existing, RestoreOptions
from shipkeeper.backup.selection import Selection
from shipkeeper.errors import UsageError

_MOST = 500
_LISTS = ("kinds", "namespaces", "names", "not_names")


class RestoreForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The flags of `shipkeeper backup restore` that the page offers.

    `names` and `not_names` are `KIND/NAME` or `KIND/NAMESPACE/NAME`.
    """

    backup: str
    kinds: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    not_names: tuple[str, ...] = ()
    existing: Existing = Existing.SKIP
    scaled_to_zero: bool = False

    def require_fitting(self) -> None:
        """UsageError for what makes no sense, or is more than a command line takes."""
        for field in _LISTS:
            words: tuple[str, ...] = getattr(self, field)
            if len(words) > _MOST:
                raise UsageError(
                    f"more than {_MOST} objects cannot be named one by one",
                    reason="TooMany",
                    hint="choose a kind or a namespace, or use the command line",
                )
            if any(not word.isprintable() or word != word.strip() or not word for word in words):
                raise UsageError("this names no object", reason="InvalidName")
        if not self.backup or self.backup.startswith("-"):
            raise UsageError("no backup is chosen", reason="NoBackup", hint="choose one")
        if not (self.kinds or self.namespaces or self.names):
            raise UsageError(
                "nothing is chosen to be restored",
                reason="NoTarget",
                hint="tick objects, or choose a kind or a namespace",
            )

    def options(self) -> RestoreOptions:
        """What the CLI makes of the same flags."""
        return RestoreOptions(
            selection=Selection(
                kinds=self.kinds,
                namespaces=self.namespaces,
                names=self.names,
                not_names=self.not_names,
            ),
            existing=self.existing,
            scaled_to_zero=self.scaled_to_zero,
        )

    def arguments(self) -> tuple[str, ...]:
        """The words after `shipkeeper backup restore` that mean the same."""
        repeated = {
            "kind": self.kinds,
            "namespace": self.namespaces,
            "name": self.names,
            "exclude-name": self.not_names,
        }
        return (
            self.backup,
            *(f"--{flag}={word}" for flag, words in repeated.items() for word in words),
            *((f"--existing={self.existing}",) if self.existing is not Existing.SKIP else ()),
            *(("--scale-to-zero",) if self.scaled_to_zero else ()),
        )
