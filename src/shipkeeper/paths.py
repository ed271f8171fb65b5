"""Where shipkeeper keeps what outlives a command: XDG cache and state directories."""

import os
from pathlib import Path


def cache_dir() -> Path:
    """The cache root: what can be fetched or built again (engine binaries)."""
    return _base("XDG_CACHE_HOME", ".cache")


def state_dir() -> Path:
    """The state root: what cannot be rebuilt (the journal, running sandboxes)."""
    return _base("XDG_STATE_HOME", ".local/state")


def _base(variable: str, fallback: str) -> Path:
    configured = os.environ.get(variable)
    root = Path(configured) if configured else Path.home() / fallback
    return root / "shipkeeper"
