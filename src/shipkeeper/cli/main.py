"""What `shipkeeper` and `kubectl shipkeeper` run.

Everything but the version is imported when it is needed: a command line must answer at once.
"""

import gc
import os
import sys
from collections.abc import Sequence

from shipkeeper import __version__

# Objects between two looks of the garbage collector; Python's 700 cost a third of all imports.
_GARBAGE_THRESHOLD = 50_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (this process's own by default) and return its exit code."""
    if os.getpid() == 1:
        _heed_sigterm()
    given = sys.argv[1:] if arguments is None else list(arguments)
    if given == ["--version"]:
        sys.stdout.write(f"shipkeeper {__version__}\n")
        return 0
    gc.set_threshold(_GARBAGE_THRESHOLD)
    from shipkeeper.cli.run import run

    code = run(given)
    if arguments is None:
        # The interpreter's last look for garbage would go over all that it is about to drop.
        gc.freeze()
    return code


def _heed_sigterm() -> None:
    """End on SIGTERM from the start on: a container's first process is deaf to it by default.

    A pod that is evicted while it starts would take its whole grace, and may begin to lead in it.
    """
    import signal

    def end(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)


if __name__ == "__main__":
    sys.exit(main())
