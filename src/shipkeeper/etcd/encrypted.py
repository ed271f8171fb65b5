"""What encrypted values begin with, and the keys that open them. Pure."""

from collections.abc import Mapping
from typing import Final

import msgspec

MARK: Final = b"k8s:enc:"


class Keys(msgspec.Struct, frozen=True):
    """The keys of an EncryptionConfiguration, by provider and name."""

    by_name: Mapping[tuple[str, str], bytes] = {}
