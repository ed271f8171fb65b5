"""The image of shipkeeper itself."""

import hashlib
import json
import sys
import tarfile
from pathlib import Path

import pytest

import shipkeeper
from shipkeeper.sandbox.lab.own_image import SHIPKEEPER, find_base_layer, own_image
from shipkeeper.sandbox.lab.python import distributions, with_bytecode


def test_the_packages_are_those_that_shipkeeper_needs() -> None:
    found = distributions("shipkeeper")
    assert {"aiohttp", "kubernetes", "msgspec", "yarl"} <= found.keys()
    assert not {"shipkeeper", "pytest", "pyright"} & found.keys()


def test_what_is_compiled_is_taken_without_a_look_at_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "compiled_beforehand.py"
    source.write_text("VALUE = 1\n")
    for place, content in with_bytecode(source.name, source):
        if isinstance(content, bytes):
            target = tmp_path / place
            target.parent.mkdir()
            target.write_bytes(content)
    source.write_text("VALUE = 2\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert __import__(source.stem).VALUE == 1
    del sys.modules[source.stem]


def test_only_the_source_is_written_again() -> None:
    base = find_base_layer(print)
    before = base.stat()
    with own_image(print) as archive:
        below, _ = layers(archive)
    with base.open("rb") as file:
        assert below == f"{hashlib.file_digest(file, 'sha256').hexdigest()}.tar"
    assert (base.stat().st_ino, base.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not archive.exists()


def layers(archive: Path) -> list[str]:
    """The layers of an image, the upper of which has the source as it is here."""
    with tarfile.open(archive) as image:

        def read(name: str) -> bytes:
            file = image.extractfile(name)
            assert file
            return file.read()

        (manifest,) = json.loads(read("manifest.json"))
        assert manifest["RepoTags"] == [SHIPKEEPER]
        assert json.loads(read(manifest["Config"]))["config"]["User"] == "65532:65532"
        with tarfile.open(fileobj=image.extractfile(manifest["Layers"][1])) as source:
            file = source.extractfile("packages/shipkeeper/__init__.py")
            assert file
            assert file.read() == Path(shipkeeper.__file__).read_bytes()
            assert {each.split("/")[0] for each in source.getnames()} == {"tmp", "packages"}
        return manifest["Layers"]
