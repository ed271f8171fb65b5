"""How the tests are shared out over processes: by files, long ones first, hosts to one process."""

import re

import pytest
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests that take minutes begin first."""
    items.sort(key=_begins_late)


def _begins_late(item: pytest.Item) -> tuple[bool, bool, bool]:
    file = _file_of(item.nodeid)
    return not _uses_hosts(file), not _kills(file), not file.startswith("tests/nodes/")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Share out as `share_of` says; xdist's own groups do not work with pytest 9.2."""
    return _Sharing(config, log)


class _Sharing(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return share_of(nodeid)


def share_of(nodeid: str) -> str:
    """What goes to one process: a file; all that needs hosts; a test that kills at every point."""
    file = _file_of(nodeid)
    return "lab" if _uses_hosts(file) else nodeid if _kills(file) else file


def _file_of(nodeid: str) -> str:
    return nodeid.split("::", 1)[0]


def _uses_hosts(file: str) -> bool:
    """Whether hosts are made for it: one lab at a time is enough for a small machine."""
    return "lab" in re.split(r"[/_.]", file)


def _kills(file: str) -> bool:
    return "/test_killed" in file
