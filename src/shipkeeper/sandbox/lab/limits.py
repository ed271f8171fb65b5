"""The machine's limit on inotify instances, which all hosts of all labs share.

A host takes about fifteen, and most systems allow root 128: the third lab's containerd would start
without its CRI. The limit is raised while there are labs, and put back after the last one.
"""

import contextlib
import fcntl
from collections.abc import Generator
from pathlib import Path

_KNOB = Path("/proc/sys/fs/inotify/max_user_instances")
_ENOUGH = 8192
# Beside the namespaces: like the limit itself, it does not outlive the machine's boot.
_RUN = Path("/run/shipkeeper-labs")
_NAMESPACES = Path("/run/netns")


def raise_limit() -> None:
    """Allow enough instances for many hosts; call it once the lab's namespace exists."""
    with _alone():
        limit = int(_KNOB.read_text())
        if limit < _ENOUGH:
            _before().write_text(str(limit))
            # Where /proc/sys is read-only, as many hosts run as the limit there allows.
            with contextlib.suppress(OSError):
                _KNOB.write_text(str(_ENOUGH))


def put_limit_back() -> None:
    """Set the limit to what it was before the first lab, unless another lab needs it."""
    if not _before().exists():
        return
    with _alone():
        if any(_NAMESPACES.glob("lab-*")) or not _before().exists():
            return
        if int(_KNOB.read_text()) == _ENOUGH:
            _KNOB.write_text(_before().read_text())
        _before().unlink()


def _before() -> Path:
    return _RUN / "inotify-instances"


@contextlib.contextmanager
def _alone() -> Generator[None]:
    _RUN.mkdir(mode=0o700, exist_ok=True)
    with (_RUN / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
