"""The documents of a YAML stream, however odd: each is read, or it is told why it cannot be."""

from collections.abc import Iterator
from itertools import islice
from typing import Any, cast

import msgspec
import yaml

_SAFE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# The loader's own recursion would end the process long before 100,000.
_DEEPEST = 200
_TAG = "tag:yaml.org,2002:"
# Entries that merge keys (<<) may bring into the mappings of a stream: a few nested ones of some
# hundred bytes mean more than any memory holds.
_MOST_MERGED = 200_000


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One document; `line` is where it begins, `error` why it cannot be read. Both count from 1."""

    number: int
    line: int
    value: Any = None
    error: str = ""

    @property
    def complaint(self) -> str:
        """The error, with its place."""
        return f"document {self.number} (from line {self.line}): {self.error}"


class _Loader(_SAFE):
    """Says where a value is that is not of its type, whatever that raises; merges within bounds."""

    def __init__(self, stream: Any) -> None:
        plain: Any = super()
        plain.__init__(stream)
        self._merged = 0
        self._merging = set[int]()

    def flatten_mapping(self, node: Any) -> None:
        plain: Any = super()
        if id(node) in self._merging:
            # One that merges itself: the library takes what it has so far.
            return
        if len(self._merging) >= _DEEPEST:
            raise _too_much(f"merge keys nested deeper than {_DEEPEST} levels", node)
        self._merging.add(id(node))
        try:
            for each in _merged_into(node):
                # Its own merges first: only then its size is known.
                self.flatten_mapping(each)
                self._merged += len(each.value)
                if self._merged > _MOST_MERGED:
                    raise _too_much(f"merge keys that bring more than {_MOST_MERGED} entries", node)
        finally:
            self._merging.discard(id(node))
        plain.flatten_mapping(node)

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        plain: Any = super()
        try:
            return plain.construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception as error:
            # Months that there are not, numbers without end, tags that do not fit: the value is
            # not shown, for it may be secret.
            what = f"a value that is no {node.tag.removeprefix(_TAG)}"
            raise yaml.constructor.ConstructorError(None, None, what, node.start_mark) from error


def _too_much(what: str, node: Any) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, what, node.start_mark)


def _merged_into(node: Any) -> Iterator[Any]:
    """The mappings that a mapping merges, as often as it names them."""
    for key, value in node.value:
        if key.tag == f"{_TAG}merge":
            named = value.value if isinstance(value, yaml.SequenceNode) else (value,)
            yield from (each for each in named if isinstance(each, yaml.MappingNode))


def _text(_loader: Any, node: Any) -> str:
    return node.value


# A lone = is a text, as it is to everybody but this library.
cast("Any", _Loader).add_constructor(f"{_TAG}value", _text)


def documents(text: str | bytes) -> Iterator[Document]:
    """Every document; none after one that is no YAML at all, or that is nested too deep."""
    number, line = 1, 1
    try:
        end, deep = _nested_too_deep(text)
        loader: Any = _Loader(text)
        try:
            while loader.check_node():
                if number == end:
                    yield Document(number=number, line=line, error=deep)
                    return
                node = loader.get_node()
                line = node.start_mark.line + 1
                yield _document(loader, node, number, line)
                number, line = number + 1, node.end_mark.line + 1
        finally:
            loader.dispose()
    except (yaml.YAMLError, UnicodeError) as error:
        yield Document(number=number, line=line, error=_words(error))


def document(text: str | bytes) -> Any:
    """The value of the only document, None without one; ValueError says why it cannot be read."""
    found = list(islice(documents(text), 2))
    if unreadable := next((each for each in found if each.error), None):
        raise ValueError(unreadable.error)
    if len(found) > 1:
        raise ValueError(f"a second document begins in line {found[1].line}")
    return found[0].value if found else None


def _document(loader: Any, node: Any, number: int, line: int) -> Document:
    try:
        return Document(number=number, line=line, value=loader.construct_document(node))
    except yaml.YAMLError as error:
        # What it was in the midst of is not for the next document.
        loader.state_generators = []
        loader.constructed_objects, loader.recursive_objects = {}, {}
        loader.deep_construct = False
        return Document(number=number, line=line, error=_words(error))


def _nested_too_deep(text: str | bytes) -> tuple[int, str]:
    """The number of the first document that is, and what to say of it; 0 if none is."""
    number = depth = 0
    try:
        events: Any = yaml.parse(text, Loader=_SAFE)
        for event in events:
            number += isinstance(event, yaml.DocumentStartEvent)
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                where = f"line {event.start_mark.line + 1}"
                return number, f"nested deeper than {_DEEPEST} levels in {where}"
    except yaml.YAMLError:
        # The loader comes upon it as well, and no further.
        pass
    return 0, ""


def _words(error: Exception) -> str:
    problem: str = getattr(error, "problem", None) or str(error).partition("\n")[0]
    context: str = getattr(error, "context", None) or ""
    if context.startswith("found"):
        # Of anchors that are there twice the problem is only where.
        problem = f"{context}, {problem}"
    mark: Any = getattr(error, "problem_mark", None)
    return f"{problem} in line {mark.line + 1}" if mark is not None else problem


def objects_of(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a document, those inside of Lists too, each once however often it is named."""
    waiting, seen = [value], set[int]()
    while waiting:
        each = waiting.pop()
        if not isinstance(each, dict) or id(cast("object", each)) in seen:
            continue
        found = cast("dict[str, Any]", each)
        seen.add(id(found))
        items, kind = found.get("items"), found.get("kind")
        if isinstance(kind, str) and kind.endswith("List") and isinstance(items, list):
            waiting += reversed(cast("list[Any]", items))
        else:
            yield found
