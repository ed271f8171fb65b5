"""Flags that the upgrade commands share."""

import re
from typing import Annotated

from cyclopts import Parameter

from shipkeeper.errors import UsageError
from shipkeeper.model.version import Version
from shipkeeper.upgrade.catalog import catalog

To = Annotated[str, Parameter(help="The target: a minor (v1.37, its latest patch) or a version.")]
_MINOR = re.compile(r"v?1\.(\d+)")


def target_version(text: str) -> Version:
    """The version that is meant; of a minor, the latest patch that is known here.

    Of a minor that is not known yet, the first release.
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
