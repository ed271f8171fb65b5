"""What a machine must offer before it can carry a lab."""

import os
import platform
import shutil
from pathlib import Path

from shipkeeper.sandbox.errors import SandboxError
from shipkeeper.sandbox.lab.cgroups import hierarchies

_TOOLS = {
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "pivot_root": "util-linux",
    "mount": "mount",
}
# Source: capabilities(7). Namespaces, mounts and device nodes; addresses; the reboot of a host.
_CAPABILITIES = {"CAP_NET_ADMIN": 12, "CAP_SYS_ADMIN": 21, "CAP_SYS_BOOT": 22, "CAP_MKNOD": 27}


class LabUnsupportedError(SandboxError):
    """This machine cannot carry a lab; the message says why."""


def require_lab_machine() -> None:
    """LabUnsupportedError unless this is Linux, with root's capabilities and the tools needed."""
    if platform.system() != "Linux":
        raise _refused(f"it needs Linux, this is {platform.system()}", "run it on a Linux machine")
    if os.geteuid():
        raise _refused("it needs root", "run the same command as root")
    _require_capabilities()
    if missing := [tool for tool in _TOOLS if not shutil.which(tool)]:
        packages = sorted({_TOOLS[tool] for tool in missing})
        raise _refused(f"there is no {', '.join(missing)}", f"install {', '.join(packages)}")
    if "\toverlay" not in Path("/proc/filesystems").read_text():
        raise _refused("the kernel has no overlay file system", "load it: modprobe overlay")
    if not hierarchies():
        raise _refused("no cgroups are mounted", "mount them under /sys/fs/cgroup")


def _require_capabilities() -> None:
    status = Path("/proc/self/status").read_text()
    effective = int(status.partition("CapEff:")[2].split()[0], 16)
    if missing := [name for name, bit in _CAPABILITIES.items() if not effective >> bit & 1]:
        raise _refused(
            f"root lacks {', '.join(missing)} here", "run it outside of a confined container"
        )


def _refused(why: str, hint: str) -> LabUnsupportedError:
    return LabUnsupportedError(
        f"this machine cannot carry a lab: {why}", reason="LabUnsupported", hint=hint
    )
