"""Derive which APIs Kubernetes removed, and when, from the tags of its API modules.

    python tools/derive_apis.py > src/shipkeeper/upgrade/data/apis.json

The truth is code: the generated lifecycle functions of each type (`APILifecycleRemoved` and its
siblings), and the types that a scheme no longer registers. Each module is read at the last tag of
every minor; a removal is what the newest tag says that still has the type, for scheduled removals
move. Needs a Go toolchain and its module proxy; the same tags give the same bytes.
"""

import json
import re
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from go_modules import download

# The last patch of each minor, by https://kubernetes.io/releases/patch-releases/; those that are
# still maintained as of the day this list was last changed.
PATCHES = {
    17: 17,
    18: 20,
    19: 16,
    20: 15,
    21: 14,
    22: 17,
    23: 17,
    24: 17,
    25: 16,
    26: 15,
    27: 16,
    28: 15,
    29: 15,
    30: 14,
    31: 14,
    32: 13,
    33: 13,
    34: 13,
    35: 10,
    36: 6,
    37: 2,
}
# Tags that module proxies lack; the ones before them say the same.
_LACKING = {18: 19}
# Module, where its groups lie, and the first minor whose tags are read.
MODULES = (
    ("k8s.io/api", ".", 17),
    ("k8s.io/apiextensions-apiserver", "pkg/apis", 20),
    ("k8s.io/kube-aggregator", "pkg/apis", 20),
)
# Objects that travel, and are never asked for by their kind: a lifecycle there removes no API.
PAYLOADS = {
    ("admission.k8s.io", "AdmissionReview"),
    ("apiextensions.k8s.io", "ConversionReview"),
    ("imagepolicy.k8s.io", "ImageReview"),
}

_GROUP = re.compile(r'^const GroupName = "([^"]*)"', re.MULTILINE)
_KNOWN = re.compile(r"AddKnownTypes\((.*?)^\t\)", re.DOTALL | re.MULTILINE)
_TYPE = re.compile(r"&(\w+)\{\}")
_LIFECYCLE = re.compile(
    r"^func \(in \*(\w+)\) APILifecycle(Introduced|Deprecated|Removed)\(\)[^{]*\{\n"
    r"\treturn (\d+), (\d+)",
    re.MULTILINE,
)
_REPLACEMENT = re.compile(
    r"^func \(in \*(\w+)\) APILifecycleReplacement\(\)[^{]*\{\n"
    r'\treturn schema\.GroupVersionKind\{Group: "([^"]*)", Version: "([^"]*)", Kind: "([^"]*)"\}',
    re.MULTILINE,
)


class Place(NamedTuple):
    """A kind in one version of its group."""

    group: str
    version: str
    kind: str


class Told(NamedTuple):
    """What one tag says of a kind: minors, by what was asked, and its successor."""

    minors: dict[str, int]
    replacement: str
    file: str


def main() -> None:
    """Write the data file to stdout."""
    rows = [row for module in MODULES for row in _rows(*module)]
    rows.sort(key=lambda row: (row["removed"], row["group"], row["version"], row["kind"]))
    text = ",\n".join(f"    {json.dumps(row)}" for row in rows)
    tags = json.dumps({f"1.{minor}": f"1.{minor}.{patch}" for minor, patch in PATCHES.items()})
    sys.stdout.write(f'{{\n  "releases": {tags},\n  "apis": [\n{text}\n  ]\n}}\n')


def _rows(module: str, folder: str, first: int) -> Iterator[dict[str, object]]:
    minors = [minor for minor in PATCHES if minor >= first]
    with ThreadPoolExecutor(4) as pool:
        roots = list(pool.map(partial(download, module), map(tag_of, minors)))
    told = {
        minor: dict(_read(root, root / folder)) for minor, root in zip(minors, roots, strict=True)
    }
    newest = max(told)
    stays = {
        place
        for place, each in told[newest].items()
        if each.minors.get("Removed", newest + 1) > newest
    }
    for place in sorted({place for each in told.values() for place in each}):
        row = _row(module, place, {minor: each.get(place) for minor, each in told.items()})
        if row is not None and (place.group, place.kind) not in PAYLOADS:
            yield row if row["replacement"] else {**row, "replacement": _successor(place, stays)}


def _successor(place: Place, stays: set[Place]) -> str:
    """The same kind in the most mature version that stays; empty if there is none."""
    versions = [
        each.version for each in stays if (each.group, each.kind) == (place.group, place.kind)
    ]
    best = max(versions, key=_maturity, default=place.version)
    is_better = _maturity(best) > _maturity(place.version)
    return f"{place.group}/{best} {place.kind}" if is_better else ""


def _maturity(version: str) -> tuple[int, int, int]:
    found = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if found is None:
        raise ValueError(version)
    return (("alpha", "beta", None).index(found[2]), int(found[1]), int(found[3] or 0))


def _row(module: str, place: Place, told: dict[int, Told | None]) -> dict[str, object] | None:
    """When the kind ends and how that is known; None if nothing says that it does."""
    last = max(minor for minor, each in told.items() if each is not None)
    newest = told[last]
    if newest is None:
        raise AssertionError("the last minor that has a kind has it")
    is_gone, scheduled = last < max(told), newest.minors.get("Removed")
    if scheduled is not None and (not is_gone or scheduled <= last + 1):
        removed, how = scheduled, "APILifecycleRemoved"
    elif is_gone:
        removed, how = last + 1, "no longer registered"
    else:
        return None
    return {
        "group": place.group,
        "version": place.version,
        "kind": place.kind,
        "introduced": newest.minors.get("Introduced", 0),
        "deprecated": newest.minors.get("Deprecated", 0),
        "removed": removed,
        "replacement": newest.replacement,
        "source": f"{module}@{tag_of(last)} {newest.file}: {how}",
    }


def _read(root: Path, folder: Path) -> Iterator[tuple[Place, Told]]:
    """Every kind of a module's tree, with what its lifecycle functions say."""
    for register in sorted(folder.glob("*/*/register.go")):
        directory = register.parent
        if not re.fullmatch(r"v\d+((alpha|beta)\d+)?", directory.name):
            continue
        text = register.read_text()
        group = _GROUP.search(text) or _GROUP.search((directory.parent / "register.go").read_text())
        known = {name for found in _KNOWN.finditer(text) for name in _TYPE.findall(found[1])}
        lifecycle = directory / "zz_generated.prerelease-lifecycle.go"
        says = lifecycle.read_text() if lifecycle.exists() else ""
        minors: dict[str, dict[str, int]] = {}
        for name, what, _, minor in _LIFECYCLE.findall(says):
            minors.setdefault(name, {})[what] = int(minor)
        successors = {
            # The functions of some kinds name the list of their successor.
            name: f"{group_}/{version} {kind.removesuffix('List')}"
            for name, group_, version, kind in _REPLACEMENT.findall(says)
        }
        file = str((lifecycle if says else register).relative_to(root))
        for name in sorted(known):
            if group is not None and _is_kind(name):
                place = Place(group[1], directory.name, name)
                yield place, Told(minors.get(name, {}), successors.get(name, ""), file)


def _is_kind(name: str) -> bool:
    return not name.endswith(("List", "Options"))


def tag_of(minor: int) -> str:
    """The tag of the API modules that belongs to the last patch of a minor."""
    return f"v0.{minor}.{_LACKING.get(minor, PATCHES[minor])}"


if __name__ == "__main__":
    main()
