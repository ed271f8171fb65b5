"""A maintenance carried out where others plan theirs at the same time."""

from shipkeeper.engine.ledger import Ledger
from shipkeeper.engine.progress import Sink
from shipkeeper.engine.run import RunResult
from shipkeeper.engine.session import Session
from shipkeeper.kube.connection import Connection
from shipkeeper.nodes import procedure
from shipkeeper.operator.sight import Sight


class Maintaining:
    """The procedure of maintenances, whose runs see the whole cluster anew by a shared sight."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight

    async def carry_out(
        self, connection: Connection, journal: Ledger, session: Session, tell: Sink, /
    ) -> RunResult:
        """Carry a run out."""
        return await procedure.carry_out(connection, journal, session, tell, look=self._sight.now)

    async def take_back(
        self, connection: Connection, journal: Ledger, session: Session, tell: Sink, /
    ) -> None:
        """Give a run up."""
        await procedure.take_back(connection, journal, session, tell)
