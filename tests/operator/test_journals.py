"""The journals of objects: of each there is one in a process, whoever comes upon it first."""

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

from shipkeeper.engine.plan import Plan, Step
from shipkeeper.kube.writer import Writer
from shipkeeper.operator.api.windows import MAINTENANCE_WINDOW
from shipkeeper.operator.journals import Journals
from shipkeeper.operator.ledger import ClusterLedger
from tests.operator.harbour import NAMESPACE, Harbour

PLAN = Plan(
    procedure="maintain",
    request={"nodes": ["a"]},
    steps=(Step(id="s", action="a", target="t", effect="happens"),),
)


class Overtaken(Writer):
    """A writer that lets somebody look for the journal right after it was begun."""

    look: Callable[[], Awaitable[ClusterLedger | None]]
    found: ClusterLedger | None = None

    async def create(self, *arguments: Any, **details: Any) -> Any:
        answer = await super().create(*arguments, **details)
        self.found = await self.look()
        return answer


async def test_who_looks_while_a_journal_is_begun_finds_that_very_one(harbour: Harbour) -> None:
    window = {"cron": "0 0 * * *", "length": "1h"}
    owner = await harbour.create(MAINTENANCE_WINDOW, "owner", window)
    writer = Overtaken(harbour.connection)
    # Of the scene nothing else is used.
    scene: Any = SimpleNamespace(reader=harbour.reader, writer=writer, namespace=NAMESPACE)
    journals = Journals(scene, MAINTENANCE_WINDOW)
    writer.look = lambda: journals.find(owner)
    begun = await journals.begin(owner, PLAN)
    assert writer.found is begun
    assert await journals.find(owner) is begun
