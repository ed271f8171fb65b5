"""Images written from files."""

import hashlib
import json
import tarfile
from pathlib import Path

from shipkeeper.sandbox.lab.archive import Image, write_archive


def write(tmp_path: Path, name: str) -> Path:
    program = tmp_path / "program"
    program.write_bytes(b"#!/bin/sh\n")
    image = Image(
        references=("localhost/a:1", "localhost/b:1"),
        files={"usr/bin/program": program},
        links={"bin/other": "/usr/bin/program"},
        entrypoint=("/usr/bin/program",),
    )
    target = tmp_path / f"{name}.tar"
    write_archive(image, target, "amd64")
    return target


def test_an_archive_holds_what_its_digests_say(tmp_path: Path) -> None:
    with tarfile.open(write(tmp_path, "one")) as archive:

        def content(name: str) -> bytes:
            file = archive.extractfile(name)
            assert file
            return file.read()

        (manifest,) = json.loads(content("manifest.json"))
        assert manifest["RepoTags"] == ["localhost/a:1", "localhost/b:1"]
        configuration = content(manifest["Config"])
        assert manifest["Config"] == f"{hashlib.sha256(configuration).hexdigest()}.json"
        (layer,) = manifest["Layers"]
        digest = hashlib.sha256(content(layer)).hexdigest()
        assert json.loads(configuration)["rootfs"]["diff_ids"] == [f"sha256:{digest}"]
        file = archive.extractfile(layer)
        with tarfile.open(fileobj=file) as files:
            assert files.getnames() == [
                *("tmp", "usr", "usr/bin", "usr/bin/program", "bin", "bin/other")
            ]
            assert files.getmember("usr/bin/program").mode == 0o755
            assert files.getmember("bin/other").linkname == "/usr/bin/program"


def test_the_same_files_give_the_same_archive(tmp_path: Path) -> None:
    assert write(tmp_path, "one").read_bytes() == write(tmp_path, "two").read_bytes()
    assert {each.suffix for each in tmp_path.iterdir()} == {".tar", ""}
