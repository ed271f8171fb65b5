"""How the memory of a process that runs for good is taken from the system, and given back.

Other libraries of C than glibc do without. What Python keeps to itself is out of reach (ADR 49).
"""

import asyncio
import ctypes
import gc

_M_MMAP_THRESHOLD = -3
_LARGE = 128 * 1024
_EVERY_SECONDS = 5.0


def give_back_large_blocks() -> None:
    """Have every block of 128 KiB or more go back to the system as soon as it is let go of.

    By itself glibc takes ever larger ones from its heap once some were freed (mallopt(3)), where
    small ones between them keep the pages of a cluster's lists for good.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)


def give_back_pages() -> None:
    """Have every page go back to the system in which nothing is left (malloc_trim(3))."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


async def keep_giving_back() -> None:
    """Collect garbage, and give pages back, every few seconds, until cancelled.

    By itself Python looks for cycles by the number of new objects. What was read of a cluster is
    not counted, and might hang from a few frames that refer to each other until the next run.
    """
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        gc.collect()
        # The whole heap is locked meanwhile, so that a thread would win nothing.
        give_back_pages()
