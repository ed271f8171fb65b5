"""The journals of the runs that objects ask for; a leader reads each once."""

import secrets
from datetime import UTC, datetime
from typing import Any

from shipkeeper.engine.journal import RunRecord
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.session import cluster_identity
from shipkeeper.operator.api.kind import CustomObject, Kind
from shipkeeper.operator.ledger import ClusterLedger, Home, begin_ledger, load_ledger
from shipkeeper.operator.scene import Scene


class Journals:
    """The journals of the objects of one kind, by UID.

    Of each there is one in this process: what a second one does not hear of is not on record to it,
    and it may be asked for while it is being begun.
    """

    def __init__(self, scene: Scene, kind: Kind[Any]) -> None:
        self._scene = scene
        self._kind = kind
        self._known: dict[str, ClusterLedger] = {}

    async def find(self, found: CustomObject) -> ClusterLedger | None:
        """The journal of an object; None if none was begun."""
        known = self._known.get(found.uid)
        if known is not None:
            return known
        loaded = await load_ledger(self._scene.reader, self._scene.writer, self.home(found))
        return loaded and self._known.setdefault(found.uid, loaded)

    async def begin(self, found: CustomObject, plan: Plan) -> ClusterLedger:
        """Write down that a plan is to be carried out; ConflictError if there is one already."""
        run = RunRecord(
            id=f"{plan.procedure}-{secrets.token_hex(4)}",
            procedure=plan.procedure,
            cluster=await cluster_identity(self._scene.reader),
            plan=plan,
            started_at=datetime.now(UTC),
            door="operator",
        )
        home = self.home(found)
        ledger = await begin_ledger(self._scene.reader, self._scene.writer, home, run)
        return self._known.setdefault(found.uid, ledger)

    def forget(self, uid: str) -> None:
        """Have it read anew, if it is asked for again."""
        self._known.pop(uid, None)

    def home(self, found: CustomObject) -> Home:
        """Where the journal of an object is: it goes with the object."""
        return Home(
            namespace=self._scene.namespace,
            name=f"{self._kind.kind.lower()}-{found.uid}",
            owner={
                "apiVersion": self._kind.api_version,
                "kind": self._kind.kind,
                "name": found.name,
                "uid": found.uid,
            },
        )
