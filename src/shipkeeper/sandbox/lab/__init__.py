"""The lab: a real kubeadm cluster of several hosts, each in namespaces of its own."""

from shipkeeper.sandbox.lab.host import Host
from shipkeeper.sandbox.lab.lab import Lab
from shipkeeper.sandbox.lab.requirements import LabUnsupportedError, require_lab_machine

__all__ = ["Host", "Lab", "LabUnsupportedError", "require_lab_machine"]
