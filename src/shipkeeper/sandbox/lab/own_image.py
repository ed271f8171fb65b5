"""The image of shipkeeper itself, made of what runs here.

It stands for that of the Containerfile, which takes a builder and a registry: it has the same
places, user and start. What changes seldom, the interpreter and the packages, is a layer in the
cache; the source is another one, and is written anew each time.
"""

import hashlib
import os
import platform
import sys
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from importlib.metadata import Distribution
from pathlib import Path
from tempfile import TemporaryFile

import shipkeeper
from shipkeeper.paths import cache_dir
from shipkeeper.sandbox.assets.engines import Say
from shipkeeper.sandbox.assets.store import exclusively
from shipkeeper.sandbox.lab.archive import Start, write_image, write_layer
from shipkeeper.sandbox.lab.images import ARCHITECTURES
from shipkeeper.sandbox.lab.python import (
    PACKAGES,
    PROGRAM,
    Files,
    distributions,
    files_below,
    python_files,
    with_bytecode,
)

SHIPKEEPER = "localhost/shipkeeper:lab"
_USER = 65532
_START = Start(
    references=(SHIPKEEPER,),
    entrypoint=(f"/{PROGRAM}", "-m", "shipkeeper.cli.main"),
    command=("operator", "run"),
    environment=(
        f"PYTHONPATH=/{PACKAGES}",
        "PYTHONDONTWRITEBYTECODE=1",
        "PYTHONUNBUFFERED=1",
        "PYTHONMALLOC=malloc",
    ),
    user=f"{_USER}:{_USER}",
)
_ACCOUNTS = {
    "etc/passwd": f"root:x:0:0:root:/:/none\nnonroot:x:{_USER}:{_USER}:nonroot:/:/none\n".encode(),
    "etc/group": f"root:x:0:\nnonroot:x:{_USER}:\n".encode(),
}
# Whom the system trusts: the clients of object stores do not begin without.
_AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"
# Another number makes another layer of the same packages.
_RECIPE = 2


@contextmanager
def own_image(say: Say) -> Generator[Path]:
    """An archive with the image, to be imported while the context lasts; nothing is left of it."""
    base = find_base_layer(say)
    with base.open("rb") as packages, TemporaryFile() as source, TemporaryFile() as archive:
        write_layer(_source(), {}, source)
        source.seek(0)
        write_image(_START, (packages, source), archive, ARCHITECTURES[platform.machine()])
        archive.flush()
        # Without a name, it goes with the process; by this one each reader begins at its start.
        yield Path(f"/proc/{os.getpid()}/fd/{archive.fileno()}")


def find_base_layer(say: Say) -> Path:
    """The layer below the source; written now unless it is in the cache."""
    packages = distributions("shipkeeper")
    recipe = (_RECIPE, sys.version, [(name, each.version) for name, each in packages.items()])
    name = f"shipkeeper-{hashlib.sha256(repr(recipe).encode()).hexdigest()[:10]}.layer"
    folder = cache_dir() / "lab-images"
    layer, partial = folder / name, folder / f".{name}.partial"
    with exclusively(folder, name, say):
        if not layer.exists():
            say("writing the packages of shipkeeper's image")
            with partial.open("wb") as file:
                write_layer(_base(packages.values()), {}, file)
            partial.rename(layer)
    return layer


def _base(packages: Iterable[Distribution]) -> Files:
    yield from _ACCOUNTS.items()
    if (authorities := Path("/", _AUTHORITIES)).exists():
        yield _AUTHORITIES, authorities
    yield from python_files(packages)


def _source() -> Files:
    root = Path(shipkeeper.__file__).parent
    for path in files_below(root):
        yield from with_bytecode(f"{PACKAGES}/shipkeeper/{path.relative_to(root)}", path)
