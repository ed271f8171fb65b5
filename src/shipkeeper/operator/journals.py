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
    """The journals of the objects of one kind, by UID."""

    def __init__(self, scene: Scene, kind: Kind[Any]) -> None:
        self._scene = scene
        self._kind = kind
        self._known: dict[str, ClusterLedger] = {}

    async def find(self, found: CustomObject) -> ClusterLedger | None:
        """The journal of an object; None if none was begun."""
        if found.uid not in self._known:
            home = self.home(found)
            loaded = await load_ledger(self._scene.reader, self._scene.writer, home)
            if loaded is None:
                return None
            self._known[found.uid] = loaded
        return self._known[found.uid]

    async def begin(self, found: CustomObject, plan: Plan) -> ClusterLedger:
        """Write down that a plan is to be carried out; ConflictError if there is one already."""
        run = RunRecord(
            id=f"{plan.procedure}-{secrets.token_hex(4)}",
            procedure=plan.procedure,
            cluster=await cluster_identity(self._scene.reader),
            plan=plan,
            started_at=datetime.now(UTC),
        )
        home = self.home(found)
        ledger = await begin_ledger(self._scene.reader, self._scene.writer, home, run)
        self._known[found.uid] = ledger
        return ledger

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
