"""What runs for many tests: it ends with the last of them that needs it."""

from typing import Protocol


class _Ends(Protocol):
    def down(self) -> None: ...


_running: dict[str, _Ends] = {}


def begun(name: str, what: _Ends) -> None:
    """Something runs by this name, until it is ended."""
    _running[name] = what


def end(name: str) -> None:
    """End what runs by this name, if it still does."""
    if (found := _running.pop(name, None)) is not None:
        found.down()
