"""How the memory of a process that runs for good is taken from the system, and given back."""

import ctypes

_M_MMAP_THRESHOLD = -3
_LARGE = 128 * 1024


def give_back_large_blocks() -> None:
    """Have every block of 128 KiB or more go back to the system as soon as it is let go of.

    By itself glibc takes ever larger ones from its heap once some were freed (mallopt(3)), where
    small ones between them keep the pages of a cluster's lists for good. Other libraries of C do
    without.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
