"""CRC-32C, as etcd has it everywhere. Pure."""

from collections.abc import Callable
from typing import cast

import google_crc32c

extend = cast("Callable[[int, bytes], int]", google_crc32c.extend)  # pyright: ignore[reportUnknownMemberType]
"""The checksum of what had the given one, and of some bytes more."""
