"""One command at a time for each sandbox."""

import fcntl
from collections.abc import Generator
from contextlib import contextmanager

from shipkeeper.errors import LockHeldError
from shipkeeper.sandbox.layout import Layout


@contextmanager
def alone(layout: Layout) -> Generator[None]:
    """Hold a sandbox while its processes are started or stopped; LockHeldError if another does.

    The lock ends with the process that holds it, however that ends.
    """
    layout.lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with layout.lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeldError(
                f"another command is starting or stopping sandbox {layout.name}",
                reason="SandboxBusy",
                hint="wait for it, then try again",
            ) from error
        yield
