"""What forked processes need not import any more: all commands, and what dies in tests."""

import importlib
import pkgutil

from shipkeeper import cli
from tests.backup import dying as _backup
from tests.nodes import dying as _nodes
from tests.nodes import surging_alone as _surging
from tests.operator import dying as _operator

__all__ = ["_backup", "_nodes", "_operator", "_surging"]

for _each in pkgutil.iter_modules(cli.__path__, f"{cli.__name__}."):
    importlib.import_module(_each.name)
