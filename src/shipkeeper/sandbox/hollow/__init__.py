"""Hollow nodes: they report to a real API server as kubelets do, and misbehave when told to."""

from shipkeeper.sandbox.hollow.client import HollowFleet
from shipkeeper.sandbox.hollow.options import command
from shipkeeper.sandbox.hollow.values import HollowError, NodeGroup, NodeReport

__all__ = ["HollowError", "HollowFleet", "NodeGroup", "NodeReport", "command"]
