"""The derived flags against what the real binaries at both ends say themselves."""

import re
import subprocess

import pytest

from shipkeeper.sandbox.assets.find import find_assets
from shipkeeper.sandbox.assets.versions import NEWEST, OLDEST
from shipkeeper.upgrade.catalog import catalog

_FLAG = re.compile(r"^ +(?:-\w, )?--([a-z0-9-]+)", re.MULTILINE)
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


def flags_of(version: str, component: str) -> set[str]:
    program = find_assets(version, lambda line: None).directory / component
    answer = subprocess.run([program, "--help"], capture_output=True, text=True, check=True)
    return set(_FLAG.findall(answer.stdout))


@pytest.mark.parametrize("component", COMPONENTS)
def test_no_flag_that_the_newest_takes_is_called_removed(component: str) -> None:
    known = catalog().settings
    taken = flags_of(NEWEST, component)
    assert [flag for flag in sorted(taken) if known.flag_ends(component, flag) is not None] == []


@pytest.mark.parametrize("component", COMPONENTS)
def test_nearly_every_flag_that_is_gone_is_known_to_be(component: str) -> None:
    gone = flags_of(OLDEST, component) - flags_of(NEWEST, component)
    known = {flag for flag in gone if catalog().settings.flag_ends(component, flag) is not None}
    assert len(known) >= 0.8 * len(gone), sorted(gone - known)
