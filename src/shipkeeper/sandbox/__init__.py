"""A real control plane on this machine, for trying things and for tests."""

from shipkeeper.sandbox.errors import SandboxError
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.sandbox.status import ComponentStatus, SandboxStatus

__all__ = ["ComponentStatus", "Sandbox", "SandboxError", "SandboxStatus"]
