"""JSON Patch (RFC 6902) on plain values. Pure."""

import copy
from collections.abc import Sequence
from typing import Any

from shipkeeper.backup.manifest import is_list, is_map
from shipkeeper.errors import UsageError

Operation = dict[str, Any]


def apply_patch(document: Any, operations: Sequence[Operation]) -> Any:
    """The document after all operations; the one given stays as it is.

    UsageError naming the first operation that cannot be carried out, a failed `test` among them.
    """
    changed = copy.deepcopy(document)
    for operation in operations:
        try:
            changed = _apply(changed, operation)
        except (LookupError, ValueError, TypeError) as error:
            raise UsageError(
                f"the patch {operation} cannot be applied: {error}",
                reason="InvalidPatch",
                hint="see RFC 6902: op is add, remove, replace, move, copy or test",
            ) from error
    return changed


def _apply(document: Any, operation: Operation) -> Any:
    path = _steps(operation["path"])
    match operation["op"]:
        case "add":
            return _add(document, path, operation["value"])
        case "remove":
            return _remove(document, path)
        case "replace":
            _find(document, path)
            return operation["value"] if not path else _replace(document, path, operation["value"])
        case "move":
            moved = _find(document, _steps(operation["from"]))
            return _add(_remove(document, _steps(operation["from"])), path, moved)
        case "copy":
            return _add(document, path, copy.deepcopy(_find(document, _steps(operation["from"]))))
        case "test":
            if _find(document, path) != operation["value"]:
                raise ValueError("the value is another one")
            return document
        case other:
            raise ValueError(f"there is no operation {other!r}")


def _steps(pointer: str) -> list[str]:
    if pointer and not pointer.startswith("/"):
        raise ValueError(f"{pointer!r} is no JSON pointer")
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def _find(document: Any, path: Sequence[str]) -> Any:
    for step in path:
        document = document[int(step) if is_list(document) else step]
    return document


def _add(document: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _find(document, path[:-1]), path[-1]
    if is_list(parent):
        parent.insert(len(parent) if last == "-" else int(last), value)
    elif is_map(parent):
        parent[last] = value
    else:
        raise TypeError(f"nothing can be added below {'/'.join(path[:-1])}")
    return document


def _replace(document: Any, path: Sequence[str], value: Any) -> Any:
    parent = _find(document, path[:-1])
    parent[int(path[-1]) if is_list(parent) else path[-1]] = value
    return document


def _remove(document: Any, path: Sequence[str]) -> Any:
    if not path:
        raise ValueError("the whole object cannot be removed")
    parent = _find(document, path[:-1])
    del parent[int(path[-1]) if is_list(parent) else path[-1]]
    return document
