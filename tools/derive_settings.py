"""Derive which flags and feature gates each minor version of Kubernetes knows, from its sources.

    python tools/derive_settings.py > src/shipkeeper/upgrade/data/settings.json

A component that is given a flag or a gate it does not know ends at once. For each flag and gate
the file holds the first and the last minor that knows it, and for gates from which minor on they
are locked to which value. Needs a Go toolchain and its module proxy; the same tags give the same
bytes.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from derive_apis import PATCHES
from go_modules import download

_FIRST = 20
# Patches that module proxies lack; flags and gates do not change within a minor.
_LACKING = {
    ("kubernetes", 34): 4,
    ("kubernetes", 35): 4,
    ("kubernetes", 36): 3,
    ("controller-manager", 25): 6,
    ("controller-manager", 26): 13,
}
_SHARED = (
    "component-base:.",
    "klog:.",
    "apiserver:pkg/util/feature",
    "apiserver:pkg/util/compatibility",
)
_SERVING = ("apiserver:pkg/server/options", *_SHARED)
# Where the flags of each component are defined: module and folder.
_COMPONENTS = {
    "kube-apiserver": (
        "kubernetes:cmd/kube-apiserver",
        "kubernetes:pkg/controlplane",
        "kubernetes:pkg/kubeapiserver",
        "kubernetes:pkg/features",
        "apiserver:.",
        *_SHARED,
    ),
    "kube-controller-manager": (
        "kubernetes:cmd/kube-controller-manager",
        "controller-manager:.",
        "cloud-provider:.",
        *_SERVING,
    ),
    "kube-scheduler": ("kubernetes:cmd/kube-scheduler", "kubernetes:pkg/scheduler", *_SERVING),
    "kubelet": (
        "kubernetes:cmd/kubelet",
        "kubernetes:pkg/kubelet/config",
        "kubernetes:pkg/util/flag",
        *_SHARED,
    ),
}
_MODULES = (
    *("kubernetes", "apiserver", "component-base", "controller-manager", "cloud-provider"),
    *("client-go", "apiextensions-apiserver", "kube-aggregator"),
)
_GATE_HOMES = (
    *("kubernetes:pkg/features", "kubernetes:pkg/scheduler", "kubernetes:pkg/kubelet"),
    *("apiserver:.", "component-base:.", "client-go:features", "controller-manager:."),
    *("cloud-provider:.", "apiextensions-apiserver:.", "kube-aggregator:."),
)
_FLAG = re.compile(
    r"\.(?:\w*Var\w*|Bool|String|Int|Duration|Float64|StringSlice|StringArray|AddFlag)P?\((?!\))"
    r"[^\n\"]*?\"([a-z0-9][a-zA-Z0-9.-]*)\""
)
_CONSTANT = re.compile(r'\b\w+\s*=\s*"([a-z0-9]+(?:-[a-z0-9]+)+)"')
# Flags whose code outlived their use: the last minor whose binaries took them. Sources: KEP-2845
# for the flags of klog, and the changelog of 1.24 for insecure serving.
_KLOG = (
    *("add-dir-header", "alsologtostderr", "log-backtrace-at", "log-dir", "log-file"),
    *("log-file-max-size", "logtostderr", "one-output", "skip-headers", "skip-log-headers"),
    "stderrthreshold",
)
_ENDED = {
    **dict.fromkeys(_KLOG, 25),
    **dict.fromkeys(("insecure-port", "insecure-bind-address", "port", "address"), 23),
}
_STILL = {"kubelet": {"port", "address"}}
_LOGGING = ("v", "vmodule", *_KLOG)
_LEADER = re.compile(r'"(leader-elect[a-z-]*)"')
_GATE = re.compile(r'\b(?:featuregate\.)?Feature\s*=\s*"(\w+)"')
_ALIAS = re.compile(r'^\s*(\w+)\s+(?:featuregate\.)?Feature\s*=\s*"(\w+)"', re.MULTILINE)
_ENTRY = re.compile(
    r"^\t(?:\w+\.)?(\w+):\s*\{(?:\n((?:^\t\t.*\n)+)^\t\},|([^\n]*)\},)", re.MULTILINE
)
_LOCKED = re.compile(r"Default:\s*(true|false)[^}\n]*LockToDefault:\s*true")


def main() -> None:
    """Write the data file to stdout."""
    minors = [minor for minor in PATCHES if minor >= _FIRST]
    flags: dict[str, dict[str, list[int]]] = {component: {} for component in _COMPONENTS}
    gates: dict[str, list[int]] = {}
    locked: dict[str, dict[str, object]] = {}
    for minor in minors:
        trees = _trees(minor)
        for component, places in _COMPONENTS.items():
            known = set(_flags(trees, places)) - _ended(component, minor)
            _note(flags[component], known, minor)
        found = set(_gates(trees))
        _note(gates, found, minor)
        for name, value in _locks(trees):
            if name in found:
                locked.setdefault(name, {"since": minor, "to": value})
    document = {
        "sources": [f"k8s.io/{module}" for module in _MODULES],
        "minors": [minors[0], minors[-1]],
        "flags": {component: dict(sorted(each.items())) for component, each in flags.items()},
        "gates": dict(sorted(gates.items())),
        "locked": dict(sorted(locked.items())),
    }
    sys.stdout.write(_compact(document))


def _compact(document: Mapping[str, object]) -> str:
    """JSON with a line for each flag and gate."""
    text = json.dumps(document, indent=1)
    return re.sub(r"[\[{]\n\s+([^\[\]{}]*?)\n\s+[\]}]", _one_line, text) + "\n"


def _one_line(found: re.Match[str]) -> str:
    opened, closed = found[0][0], found[0][-1]
    return opened + " ".join(line.strip() for line in found[1].splitlines()) + closed


def _note(known: dict[str, list[int]], found: Iterable[str], minor: int) -> None:
    for name in found:
        known.setdefault(name, [minor, minor])[1] = minor


def _trees(minor: int) -> dict[str, Path]:
    modules = list(_MODULES)
    with ThreadPoolExecutor(4) as pool:
        roots = list(pool.map(partial(_tree, minor), modules))
    return dict(zip(modules, roots, strict=True))


def _tree(minor: int, module: str) -> Path:
    patch = _LACKING.get((module, minor), PATCHES[minor])
    major = 1 if module == "kubernetes" else 0
    return download(f"k8s.io/{module}", f"v{major}.{minor}.{patch}")


def _texts(trees: dict[str, Path], places: Iterable[str]) -> Iterator[str]:
    for place in places:
        module, _, folder = place.partition(":")
        if module in trees:
            for path in sorted((trees[module] / folder).rglob("*.go")):
                if not path.name.endswith("_test.go"):
                    yield path.read_text()


def _flags(trees: dict[str, Path], places: Iterable[str]) -> Iterator[str]:
    yield from _LOGGING
    for text in _texts(trees, places):
        if "flag" in text.lower():
            yield from _FLAG.findall(text)
            yield from _LEADER.findall(text)
            yield from _CONSTANT.findall(text)


def _ended(component: str, minor: int) -> set[str]:
    gone = {name for name, last in _ENDED.items() if minor > last}
    return gone - _STILL.get(component, set())


def _gates(trees: dict[str, Path]) -> Iterator[str]:
    for text in _texts(trees, _GATE_HOMES):
        yield from _GATE.findall(text)


def _locks(trees: dict[str, Path]) -> Iterator[tuple[str, bool]]:
    """Gates that can no longer be set otherwise, by the newest of their entries."""
    for text in _texts(trees, _GATE_HOMES):
        names = dict(_ALIAS.findall(text))
        if "LockToDefault" not in text:
            continue
        for constant, block, line in _ENTRY.findall(text):
            body = block or line
            entries = [each for each in body.splitlines() if "Default:" in each]
            found = _LOCKED.search(entries[-1]) if entries else None
            if found:
                yield names.get(constant, constant), found[1] == "true"


if __name__ == "__main__":
    main()
