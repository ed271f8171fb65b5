"""What a page shows, as keyed values, and what changed between two looks at it; pure."""

from collections.abc import Mapping, Sequence

import msgspec

_NOTHING = object()


class View(msgspec.Struct, frozen=True):
    """Values by key; `order` lists those keys whose order matters, such as the rows of a table."""

    items: Mapping[str, object] = {}
    order: Sequence[str] = ()


class Changes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What makes one view of another: values to set, keys that are gone, the order if it changed.

    With `whole` everything that was known before is to be forgotten.
    """

    set: dict[str, object] = {}
    gone: tuple[str, ...] = ()
    order: Sequence[str] | None = None
    whole: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing changed."""
        return not (self.set or self.gone or self.whole) and self.order is None


def changes(old: View | None, new: View) -> Changes:
    """What happened from one view to the next; everything if there was none."""
    if old is None:
        return Changes(set=dict(new.items), order=new.order, whole=True)
    was = old.items
    return Changes(
        # Most values are the very same objects, and ten times a second there are thousands.
        set={
            key: value
            for key, value in new.items.items()
            if (known := was.get(key, _NOTHING)) is not value and known != value
        },
        gone=tuple(key for key in was if key not in new.items),
        order=None if list(old.order) == list(new.order) else new.order,
    )
