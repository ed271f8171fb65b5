"""The official client: the half that is used, without the rest of its package.

`import kubernetes` runs the whole of it, the synchronous client with requests, oauthlib and urllib3
included; that takes longer than a short command does.
"""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from typing import Any

_PACKAGES = ("kubernetes", "kubernetes.aio")


@contextmanager
def _without_their_init() -> Generator[None]:
    """Let submodules be imported as if the packages' own `__init__` were empty.

    Afterwards the packages are as if never imported: whoever wants them whole gets them whole.
    """
    hollow: list[str] = []
    for name in _PACKAGES:
        if name not in sys.modules and (spec := find_spec(name)) is not None:
            sys.modules[name] = _hollow(spec)
            hollow.append(name)
    try:
        yield
    finally:
        for name in hollow:
            del sys.modules[name]


def _hollow(spec: ModuleSpec) -> Any:
    return module_from_spec(spec)


with _without_their_init():
    import kubernetes.aio.config as _config
    from kubernetes.aio.client import Configuration
    from kubernetes.aio.client.rest import RESTClientObject
    from kubernetes.aio.config.config_exception import ConfigException

# The official package ships no types for its loaders.
config: Any = _config

__all__ = ["ConfigException", "Configuration", "RESTClientObject", "config"]
