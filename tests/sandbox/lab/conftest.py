"""Kubectl for the shared lab."""

import sys
from pathlib import Path

import pytest

from shipkeeper.sandbox.lab import Lab

from .trace import Kubectl


@pytest.fixture
def kubectl(lab: Lab) -> Kubectl:
    program = Path(sys.executable).parent / "kubectl"
    return Kubectl(lab.inside(str(program), "--kubeconfig", str(lab.kubeconfig)))
