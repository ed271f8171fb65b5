"""Marks of tests."""

import pytest

from shipkeeper.sandbox.assets.versions import NEWEST

# For what the client does by itself, whatever the server's version.
ON_NEWEST = pytest.mark.parametrize("sandbox", [NEWEST], indirect=True)
