"""Whole objects, as plain dicts and lists, and how to reach into them. Pure."""

from typing import Any, TypeAlias, TypeGuard

Manifest: TypeAlias = dict[str, Any]
"""A whole object; at least `apiVersion`, `kind` and `metadata.name` are there."""


def is_map(value: Any) -> TypeGuard[dict[str, Any]]:
    """Whether a value of JSON is a map."""
    return isinstance(value, dict)


def is_list(value: Any) -> TypeGuard[list[Any]]:
    """Whether a value of JSON is a list."""
    return isinstance(value, list)


def part(value: dict[str, Any], *path: str) -> dict[str, Any]:
    """The map at a path; an empty one, which belongs to nobody, where there is none."""
    for step in path:
        value = value.get(step) or {}
    return value


def parts(value: dict[str, Any], *path: str) -> list[dict[str, Any]]:
    """The list of maps at a path; an empty one, which belongs to nobody, where there is none."""
    found: list[dict[str, Any]] = part(value, *path[:-1]).get(path[-1]) or []
    return found


def annotations(manifest: Manifest) -> dict[str, Any]:
    """Its annotations."""
    return part(manifest, "metadata", "annotations")


def labels(manifest: Manifest) -> dict[str, Any]:
    """Its labels."""
    return part(manifest, "metadata", "labels")


def key_of(manifest: Manifest) -> str:
    """`namespace/name`, with nothing before the slash where there is no namespace."""
    metadata = manifest["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"


def group_of(manifest: Manifest) -> str:
    """The API group of its apiVersion, empty for core."""
    return str(manifest["apiVersion"]).rpartition("/")[0]
