"""A cache of its own for each test, and a mirror in place of the official hosts."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .scenery import Mirror


@pytest.fixture(autouse=True)
def no_other_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's own shell offers must not decide a test."""
    monkeypatch.delenv("SHIPKEEPER_ASSETS", raising=False)
    monkeypatch.delenv("SHIPKEEPER_KUBERNETES_MIRROR", raising=False)
    monkeypatch.delenv("SHIPKEEPER_ETCD_MIRROR", raising=False)


@pytest.fixture
def engines_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The engine cache of this test: empty, and not the developer's; Go keeps its own."""
    go_cache = subprocess.run(["go", "env", "GOCACHE"], capture_output=True, text=True, check=True)
    monkeypatch.setenv("GOCACHE", go_cache.stdout.strip())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "xdg/shipkeeper/engines"


@pytest.fixture
def said() -> list[str]:
    """What was said so far; pass its `append`."""
    return []


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    """An empty mirror that stands for both release hosts."""
    root = tmp_path / "mirror"
    root.mkdir()
    mirror = Mirror(root)
    monkeypatch.setenv("SHIPKEEPER_KUBERNETES_MIRROR", mirror.url)
    monkeypatch.setenv("SHIPKEEPER_ETCD_MIRROR", f"{mirror.url}/etcd")
    yield mirror
    mirror.close()


@pytest.fixture
def no_mirror(monkeypatch: pytest.MonkeyPatch) -> None:
    """Release hosts that refuse every connection: nothing listens on port 9 of loopback."""
    monkeypatch.setenv("SHIPKEEPER_KUBERNETES_MIRROR", "http://127.0.0.1:9")
    monkeypatch.setenv("SHIPKEEPER_ETCD_MIRROR", "http://127.0.0.1:9")
