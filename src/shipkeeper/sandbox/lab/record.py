"""What is known of a lab between two commands: `lab.json`."""

from datetime import datetime

import msgspec

from shipkeeper.sandbox.errors import SandboxError
from shipkeeper.sandbox.files import write_private
from shipkeeper.sandbox.lab.layout import LabLayout, lab_names

CONTROL_PLANE = "control-plane"
WORKER = "worker"

# The same in every lab: no lab's network has a way out of its switch.
SWITCH_ADDRESS = "10.77.0.1"
PREFIX = 24


def hardware_address(number: int) -> str:
    """A MAC address of local make that stays the same over reboots, as a network card's does.

    Neighbours remember it for longer than a reboot takes.
    """
    return f"02:00:0a:4d:00:{number:02x}"


class HostRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One host; `role` is control-plane or worker, and `number` gives it its addresses."""

    name: str
    role: str
    number: int

    @property
    def address(self) -> str:
        """Its IPv4 address on the lab's switch."""
        return f"10.77.0.{10 + self.number}"

    @property
    def pod_cidr(self) -> str:
        """The addresses of its pods."""
        return f"10.244.{self.number}.0/24"


class LabRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A lab: what was asked for, and whether it was ever finished."""

    version: str
    created: datetime
    hosts: tuple[HostRecord, ...]
    base: str
    finished: bool = False

    @property
    def control_planes(self) -> tuple[HostRecord, ...]:
        """The hosts that carry the control plane."""
        return tuple(each for each in self.hosts if each.role == CONTROL_PLANE)


def plan_hosts(control_planes: int, workers: int) -> tuple[HostRecord, ...]:
    """Hosts `cp1…` and `w1…`, numbered throughout."""
    wanted = [(CONTROL_PLANE, f"cp{index + 1}") for index in range(control_planes)]
    wanted += [(WORKER, f"w{index + 1}") for index in range(workers)]
    return tuple(
        HostRecord(name=name, role=role, number=number)
        for number, (role, name) in enumerate(wanted, start=1)
    )


def read_lab_record(layout: LabLayout) -> LabRecord:
    """The record of a lab; SandboxError when there is none, or it is damaged."""
    try:
        return msgspec.json.decode(layout.record.read_bytes(), type=LabRecord)
    except FileNotFoundError as error:
        known = ", ".join(lab_names())
        raise SandboxError(
            f"there is no lab {layout.name}",
            reason="NoLab",
            hint=f"there are: {known}"
            if known
            else f"make one with: shipkeeper sandbox up {layout.name} --nodes real",
        ) from error
    except msgspec.DecodeError as error:
        raise SandboxError(
            f"the record of lab {layout.name} is damaged: {error}",
            reason="DamagedRecord",
            hint=f"shipkeeper sandbox down {layout.name} removes the lab all the same",
        ) from error


def write_lab_record(layout: LabLayout, record: LabRecord) -> None:
    """Replace the record as a whole."""
    write_private(layout.record, msgspec.json.format(msgspec.json.encode(record)))
