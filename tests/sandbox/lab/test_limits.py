"""The inotify limit that all hosts share: raised with the first lab, put back with the last."""

from pathlib import Path

import pytest

from shipkeeper.sandbox.lab import limits


@pytest.fixture
def knob(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    knob = tmp_path / "max_user_instances"
    monkeypatch.setattr(limits, "_KNOB", knob)
    monkeypatch.setattr(limits, "_RUN", tmp_path / "run")
    monkeypatch.setattr(limits, "_NAMESPACES", tmp_path)
    return knob


def test_it_is_put_back_after_the_last_lab(knob: Path) -> None:
    knob.write_text("128")
    first, second = knob.with_name("lab-1"), knob.with_name("lab-2")
    for lab in (first, second):
        lab.touch()
        limits.raise_limit()
        assert knob.read_text() == "8192"
    first.unlink()
    limits.put_limit_back()
    assert knob.read_text() == "8192", "another lab needs it"
    second.unlink()
    limits.put_limit_back()
    assert knob.read_text() == "128"


def test_what_somebody_else_set_stays(knob: Path) -> None:
    knob.write_text("10000")
    limits.raise_limit()
    limits.put_limit_back()
    assert knob.read_text() == "10000"
    knob.write_text("128")
    limits.raise_limit()
    knob.write_text("9000")
    limits.put_limit_back()
    assert knob.read_text() == "9000"
