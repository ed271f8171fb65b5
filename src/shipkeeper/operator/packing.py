"""Plans in few bytes, for as long as nobody looks at them.

What was just planned shares its names with the pods that it was planned for, and each name keeps a
page of memory in which nothing else is any more: for 2,000 nodes sevenfold what the plan needs.
"""

import zlib
from functools import lru_cache

import msgspec

from shipkeeper.engine.plan import Plan

# Hundreds of runs may wait for their approval, with plans of thousands of pods: those that were
# not asked for lately stay packed.
_AT_HAND = 4


def packed(plan: Plan) -> bytes:
    """A plan as compressed JSON, that shares nothing with anything."""
    return zlib.compress(msgspec.json.encode(plan))


@lru_cache(maxsize=_AT_HAND)
def unpacked(text: bytes) -> Plan:
    """The plan again; ValueError or zlib.error if that is none."""
    return msgspec.json.decode(zlib.decompress(text), type=Plan)
