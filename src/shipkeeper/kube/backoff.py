"""How long to wait before something that failed is tried again."""

import random
from datetime import timedelta

FIRST = timedelta(milliseconds=50)
LONGEST = timedelta(seconds=10)


def backoff(failures: int, *, first: timedelta = FIRST, longest: timedelta = LONGEST) -> timedelta:
    """The delay after a number of failures in a row: doubling from `first`, up to `longest`.

    It is shortened at random by up to a half, so that many clients do not return all at once.
    """
    doubled = min(first * 2 ** min(failures - 1, 32), longest)
    return doubled * random.uniform(0.5, 1)  # noqa: S311 (nobody gains by guessing it)
