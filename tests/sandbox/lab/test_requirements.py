"""Machines that cannot carry a lab are told why."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from shipkeeper.sandbox.lab import Lab, LabUnsupportedError, require_lab_machine
from tests.lab import require_lab


def test_another_system_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    with pytest.raises(LabUnsupportedError, match="it needs Linux, this is Darwin") as error:
        Lab.up("nowhere", "v1.20.2", print)
    assert (error.value.reason, error.value.hint) == ("LabUnsupported", "run it on a Linux machine")


def test_an_ordinary_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(LabUnsupportedError, match="it needs root"):
        require_lab_machine()


def test_tools_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    require_lab()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabUnsupportedError, match="there is no ip, unshare, nsenter") as error:
        require_lab_machine()
    assert error.value.hint == "install iproute2, mount, util-linux"


def test_a_root_without_its_capabilities_is_refused() -> None:
    require_lab()
    code = "from shipkeeper.sandbox.lab import require_lab_machine as r; r()"
    command = ("setpriv", "--bounding-set=-sys_admin", sys.executable, "-c", code)
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert "root lacks CAP_SYS_ADMIN here" in done.stderr


def test_ci_never_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(LabUnsupportedError):
        require_lab()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="it needs root"):
        require_lab()
