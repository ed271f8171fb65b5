"""Engines of a control plane or a node: installed, cached, downloaded or built."""

from shipkeeper.sandbox.assets.engines import NODE, Assets, AssetsError
from shipkeeper.sandbox.assets.find import find_assets
from shipkeeper.sandbox.assets.resolve import resolve_version
from shipkeeper.sandbox.assets.versions import NEWEST, OLDEST

__all__ = ["NEWEST", "NODE", "OLDEST", "Assets", "AssetsError", "find_assets", "resolve_version"]
