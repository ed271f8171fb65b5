"""How the tests are shared out over processes: by files, long ones first, hosts to two."""

import re
from collections.abc import Generator

import pytest
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling

from tests.lab import end_labs

# Fixtures that are engines; tests without them are short.
_ENGINES = frozenset(
    {"sandbox", "newest", "oldest", "returning", "control_planes", "tools", "newest_tools"}
)
_LAB = frozenset({"lab"})
_OWN_LABS = frozenset(
    {
        "tests/etcd/test_recover.py",
        "tests/operator/test_pods_in_lab.py",
        "tests/sandbox/lab/test_lab_newest.py",
        "tests/upgrade/test_upgrade_in_lab.py",
    }
)
_ON_LAB = pytest.StashKey[frozenset[str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let tests that take minutes begin first, and short ones last: they fill what is left."""
    on_engines = _files_with(_ENGINES, items)
    config.stash[_ON_LAB] = on_lab = _files_with(_LAB, items)

    def begins_late(item: pytest.Item) -> tuple[bool, ...]:
        file = _file_of(item.nodeid)
        return (
            not _uses_hosts(file),
            file in _OWN_LABS,
            # It ends with the last of those that need it.
            file not in on_lab,
            not _kills(file),
            file not in on_engines,
            not file.startswith("tests/nodes/"),
        )

    items.sort(key=begins_late)


def _files_with(fixtures: frozenset[str], items: list[pytest.Item]) -> frozenset[str]:
    return frozenset(
        _file_of(each.nodeid)
        for each in items
        if isinstance(each, pytest.Function) and not fixtures.isdisjoint(each.fixturenames)
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """End the shared lab once the last test that needs it has cleared up."""
    result = yield
    on_lab = item.config.stash[_ON_LAB]
    if _file_of(item.nodeid) in on_lab and not (nextitem and _file_of(nextitem.nodeid) in on_lab):
        end_labs()
    return result


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Share out as `share_of` says; xdist's own groups do not work with pytest 9.2."""
    return _Sharing(config, log)


class _Sharing(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return share_of(nodeid)


def share_of(nodeid: str) -> str:
    """What goes to one process: a file; all on the shared lab; a test that kills at every point.

    And all that make labs of their own: two labs at a time are enough for a small machine.
    """
    file = _file_of(nodeid)
    if _uses_hosts(file):
        return "own labs" if file in _OWN_LABS else "lab"
    if file.startswith("tests/sandbox/test_control_plane"):
        return "control planes"  # They share two that nobody else may use.
    return nodeid if _kills(file) else file


def _file_of(nodeid: str) -> str:
    return nodeid.split("::", 1)[0]


def _uses_hosts(file: str) -> bool:
    return "lab" in re.split(r"[/_.]", file) or file in _OWN_LABS


def _kills(file: str) -> bool:
    return "/test_killed" in file
