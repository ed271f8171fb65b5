"""The version that an upgrade goes to, as people write it. Pure."""

import re

from shipkeeper.errors import UsageError
from shipkeeper.model.version import Version
from shipkeeper.upgrade.catalog import catalog

_MINOR = re.compile(r"v?1\.(\d+)")


def target_version(text: str) -> Version:
    """The version that is meant; of a minor, the latest patch that is known here.

    Of a minor that is not known yet, the first release. UsageError for what is no version.
    """
    found = _MINOR.fullmatch(text.strip())
    if found is None:
        version = Version.parse(text)
        if version.major != 1:
            raise UsageError(
                f"{text!r} is no version of Kubernetes that exists",
                reason="InvalidVersion",
                hint="write for example v1.37",
            )
        return version
    minor = int(found[1])
    return catalog().latest(minor) or Version(1, minor, 0)
