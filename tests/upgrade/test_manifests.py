"""Manifests and releases that are odd: what can be read is checked, and the rest is told."""

import base64
import gzip
import json
from pathlib import Path

import pytest

from shipkeeper.upgrade.check.manifests import read_folder, read_release

ODD = """\
apiVersion: v1
kind: Pod
metadata: {name: first}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: odd}
data: {when: 2001-99-99}
---
apiVersion: v1
kind: Service
metadata: {name: [last], namespace: 0x1}
"""


def test_the_file_and_the_document_are_named(tmp_path: Path) -> None:
    (tmp_path / "odd.yaml").write_text(ODD)
    (tmp_path / "deep.yaml").write_text("[" * 100_000)
    (tmp_path / "latin.json").write_bytes(b'{"kind": "\xe9"}')
    uses, unchecked = read_folder(tmp_path)
    assert [each.target for each in uses] == ["Pod first", "Service "]
    told = {each.what.rpartition("/")[2]: each.why for each in unchecked}
    assert told.keys() == {"odd.yaml", "deep.yaml", "latin.json"}
    assert told["odd.yaml"] == (
        "it is no YAML: document 2 (from line 5): a value that is no timestamp in line 8"
    )
    assert told["deep.yaml"].endswith("nested deeper than 200 levels in line 1")


def release(manifest: str) -> str:
    content = {"name": "web", "namespace": "shop", "manifest": manifest}
    return base64.b64encode(gzip.compress(json.dumps(content).encode())).decode()


def test_a_release_with_an_odd_document_is_checked_but_for_that() -> None:
    uses, complaints = read_release(release(ODD), frozenset())
    assert [each.target for each in uses] == ["Pod shop/first", "Service shop/"]
    (why,) = complaints
    assert "document 2 (from line 5)" in why


@pytest.mark.parametrize(
    "data",
    [
        "%%%",
        base64.b64encode(b"\x1f\x8bnot gzip").decode(),
        base64.b64encode(b"[" * 100_000).decode(),
        base64.b64encode(b'{"manifest": 1}').decode(),
    ],
)
def test_what_is_no_release_is_told(data: str) -> None:
    with pytest.raises(ValueError, match="it is no release of Helm"):
        read_release(data, frozenset())
