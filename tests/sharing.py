"""How the tests are shared out over processes: by files, long ones first, hosts to two.

A control plane that nobody asks for takes a twentieth of a processor: those that few files need are
one process's work, and each ends with the last file that needs it.
"""

import re
from collections.abc import Generator

import pytest
from xdist.remote import Producer
from xdist.scheduler.loadscope import LoadScopeScheduling

from tests.running import end

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
# Control planes that few files need, and those files. They are named here because whoever shares
# out collects nothing: what a test asks for is known to the processes that run it alone.
_SELDOM = {
    "returning": frozenset(
        {
            "tests/kube/test_restored.py",
            "tests/nodes/test_set_back.py",
            "tests/operator/test_restored.py",
        }
    ),
    "secluded": frozenset(
        {
            "tests/backup/test_round_trip.py",
            "tests/upgrade/test_check.py",
            "tests/web/test_states_walk.py",
        }
    ),
}
_ON_OLDEST = frozenset({"sandbox", "oldest"})
_USERS = pytest.StashKey[dict[str, frozenset[str]]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let tests that take minutes begin first, and short ones last: they fill what is left.

    Those that need the same control plane follow each other.
    """
    for name, files in _SELDOM.items():
        if unnamed := _files_with(frozenset({name}), items) - files:
            raise pytest.UsageError(f"tests/sharing.py: {name} is needed by {sorted(unnamed)}, too")
    on_engines = _files_with(_ENGINES, items)
    config.stash[_USERS] = users = {
        "lab": _files_with(_LAB, items),
        "oldest": _scopes_with(_ON_OLDEST, items),
        **{name: frozenset({name}) for name in _SELDOM},
    }

    def begins_late(item: pytest.Item) -> tuple[bool, ...]:
        file, scope = _file_of(item.nodeid), share_of(item.nodeid)
        is_on_oldest = scope in users["oldest"]
        return (
            not _uses_hosts(file),
            file in _OWN_LABS,
            # It ends with the last of those that need it.
            file not in users["lab"],
            not (_kills(file) and not is_on_oldest),
            not _kills(file),
            not is_on_oldest,
            file not in on_engines,
            not file.startswith("tests/nodes/"),
        )

    items.sort(key=begins_late)


def _scopes_with(fixtures: frozenset[str], items: list[pytest.Item]) -> frozenset[str]:
    files = _files_with(fixtures, items)
    return frozenset(share_of(each.nodeid) for each in items if _file_of(each.nodeid) in files)


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
    """End what is shared once the last test that needs it has cleared up."""
    result = yield
    for name, users in item.config.stash[_USERS].items():
        if _is_of(users, item) and not (nextitem and _is_of(users, nextitem)):
            end(name)
    return result


def _is_of(users: frozenset[str], item: pytest.Item) -> bool:
    """Whether a test's file, or what it is shared out with, is among these."""
    return not users.isdisjoint((_file_of(item.nodeid), share_of(item.nodeid)))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Share out as `share_of` says; xdist's own groups do not work with pytest 9.2."""
    return _Sharing(config, log)


class _Sharing(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return share_of(nodeid)


def share_of(nodeid: str) -> str:
    """What goes to one process: a file; all on the shared lab; a test that kills at every point.

    And all that make labs of their own: two labs at a time are enough for a small machine. And all
    on a control plane that few need.
    """
    file = _file_of(nodeid)
    for name, files in _SELDOM.items():
        if file in files:
            return name
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
