import sys

import pytest

from shipkeeper.sandbox.assets.etcd_tools import SERIES, EtcdTools, find_etcd_tools


@pytest.fixture(scope="session", params=SERIES)
def tools(request: pytest.FixtureRequest) -> EtcdTools:
    """Real etcd with its own tools, each series in turn."""
    return find_etcd_tools(request.param, lambda line: print(line, file=sys.stderr))  # noqa: T201


@pytest.fixture(scope="session")
def newest_tools() -> EtcdTools:
    """The newest etcd."""
    return find_etcd_tools(SERIES[-1], lambda line: print(line, file=sys.stderr))  # noqa: T201
