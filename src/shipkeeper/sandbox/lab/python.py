"""What runs this very shipkeeper, as files of an image: interpreter, packages, shared libraries.

The interpreter finds its library by its own place, so it may stand elsewhere than on this machine.
"""

import importlib.metadata
import importlib.util
import marshal
import re
import subprocess
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator, Set
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

Files = Iterator[tuple[str, Path | bytes]]

PROGRAM = "usr/bin/python3"
PACKAGES = "packages"
_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_BUILDING = str(sysconfig.get_config_var("LIBPL"))
_LDD = "ldd"
_COMPILED = frozenset({"__pycache__"})
# Parts of the standard library that are for people at a screen, for tests, or for building.
_LEFT_OUT = _COMPILED | {
    *("site-packages", "dist-packages", "test", "tests", Path(_BUILDING).name),
    *("idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "pydoc_data"),
}
_LIBRARY = re.compile(r"^\s*(?:(\S+) => )?(/\S+) \(0x", re.MULTILINE)
_NAME = re.compile(r"[\w.-]+")
# PEP 552: taken as it is, whatever the time of its source.
_UNCHECKED = (1).to_bytes(4, "little")


def distributions(name: str) -> dict[str, Distribution]:
    """The installed packages that a package needs, by name, without itself."""
    found: dict[str, Distribution] = {}
    wanted = list(_needs(importlib.metadata.distribution(name)))
    while wanted:
        each = wanted.pop()
        try:
            distribution = importlib.metadata.distribution(each)
        except PackageNotFoundError:
            # It is for other systems or versions of Python.
            continue
        if distribution.name not in found:
            found[distribution.name] = distribution
            wanted += _needs(distribution)
    return dict(sorted(found.items()))


def _needs(distribution: Distribution) -> Iterator[str]:
    for line in distribution.requires or ():
        name = _NAME.match(line)
        if name and "extra ==" not in line:
            yield name.group()


def python_files(packages: Iterable[Distribution]) -> Files:
    """The interpreter with its library, packages, and the shared libraries that all of it needs."""
    program = Path(sys.executable).resolve()
    sources = dict(sorted([*_library(), *_packages(packages)]))
    yield PROGRAM, program
    for place, source in sources.items():
        yield from with_bytecode(place, source)
    compiled = [each for each in sources.values() if ".so" in each.name]
    yield from _shared_libraries([program, *compiled])


def with_bytecode(place: str, source: Path) -> Files:
    """A file, and what Python compiles it to: it could not be kept where nothing is written."""
    yield place, source
    if source.suffix != ".py":
        return
    text = source.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = compile(text, f"/{place}", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        # A template, which nothing imports.
        return
    head = importlib.util.MAGIC_NUMBER + _UNCHECKED + importlib.util.source_hash(text)
    yield importlib.util.cache_from_source(place), head + marshal.dumps(code)


def files_below(root: Path, left_out: Set[str] = _COMPILED) -> Iterator[Path]:
    """Every file below a folder of Python's, but for folders of some names."""
    for path in sorted(root.iterdir()):
        if path.is_file():
            yield path
        elif path.is_dir() and path.name not in left_out:
            yield from files_below(path, left_out)


def _library() -> Iterator[tuple[str, Path]]:
    for kind in ("stdlib", "platstdlib"):
        root = Path(sysconfig.get_path(kind))
        for path in files_below(root, _LEFT_OUT):
            # Of it, the library that draws windows is larger than all else.
            if path.name.startswith("_tkinter"):
                continue
            yield f"usr/lib/python{_VERSION}/{path.relative_to(root)}", path


def _packages(packages: Iterable[Distribution]) -> Iterator[tuple[str, Path]]:
    for each in packages:
        for file in each.files or ():
            path = Path(str(file.locate()))
            if file.parts[0] != ".." and file.suffix != ".pyc" and path.is_file():
                yield f"{PACKAGES}/{file}", path


def _shared_libraries(programs: list[Path]) -> Iterator[tuple[str, Path]]:
    """What the loader of this machine finds for programs, but for what packages bring along."""
    answer = subprocess.run([_LDD, *programs], capture_output=True, text=True, check=False)
    found: dict[str, Path] = {}
    for name, path in _LIBRARY.findall(answer.stdout):
        if "site-packages" not in path:
            found[f"lib/{name}" if name else path.lstrip("/")] = Path(path)
    yield from sorted(found.items())
