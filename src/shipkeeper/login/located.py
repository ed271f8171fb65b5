"""YAML whose mistakes are told with the line that they are in."""

import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from shipkeeper.errors import UsageError

T = TypeVar("T")

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLACE = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<place>[^`]*)`)?", re.DOTALL)
_FIELD = re.compile(r"unknown field `(?P<name>[^`]*)`")


class Located:
    """A document, and the line of everything in it by its place, such as `.ldap.servers[0]`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: dict[str, int] = {}
        self.value = self._read()

    def convert(self, type_: type[T]) -> T:
        """The document as a value of a type; UsageError with a line where it is not one."""
        try:
            return msgspec.convert(self.value, type_)
        except msgspec.ValidationError as error:
            found = _PLACE.fullmatch(str(error))
            what, place = (found["what"], found["place"] or "") if found else (str(error), "")
            unknown = _FIELD.search(what)
            raise self.wrong(f"{place}.{unknown['name']}" if unknown else place, what) from error

    def wrong(self, place: str, why: str) -> UsageError:
        """The error that a place is wrong; of what is not there, with the line of its section."""
        known = place
        while known and known not in self._lines:
            known = re.sub(r"(\.[^.\[\]]*|\[\d+\])$", "", known)
        line = self._lines.get(known, 1)
        name = place.removeprefix(".")
        return UsageError(
            f"{self.path}:{line}: {name}: {why}" if name else f"{self.path}:{line}: {why}",
            reason="InvalidConfiguration",
            hint="mend that line; docs/login.md shows every setting",
        )

    def _read(self) -> Any:
        try:
            loader: Any = _LOADER(self.path.read_text())
            try:
                node = loader.get_single_node()
                self._locate(node, "")
                return loader.construct_document(node) if node is not None else {}
            finally:
                loader.dispose()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark
            self._lines[""] = mark.line + 1 if mark else 1
            raise self.wrong("", f"this is no YAML: {error.problem}") from error
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
            raise UsageError(
                f"cannot read {self.path}: {error}",
                reason="InvalidConfiguration",
                hint="name a YAML file with the settings of docs/login.md",
            ) from error

    def _locate(self, node: Any, place: str) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                below = f"{place}.{key.value}"
                if below in self._lines:
                    self._lines[below] = key.start_mark.line + 1
                    raise self.wrong(below, "it is there twice")
                self._lines[below] = key.start_mark.line + 1
                self._locate(value, below)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                self._lines[f"{place}[{index}]"] = value.start_mark.line + 1
                self._locate(value, f"{place}[{index}]")
