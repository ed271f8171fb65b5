"""What the API server would say to a restore, asked without keeping anything."""

import asyncio

import msgspec

from shipkeeper.backup.archive import Archive
from shipkeeper.backup.assess import Prepared, context
from shipkeeper.backup.discovery import discover
from shipkeeper.backup.kinds import Served
from shipkeeper.backup.manifest import Manifest
from shipkeeper.backup.restore_options import RestoreOptions
from shipkeeper.backup.restore_plan import Action, Candidate, plan_restore, refused
from shipkeeper.backup.skip import Surroundings
from shipkeeper.backup.transform import transform
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.verdict import Verdict
from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import ConflictError
from shipkeeper.kube.writer import Writer

_READ_AT_ONCE = 500


async def rehearse(
    connection: Connection, archive: Archive, prepared: Prepared, options: RestoreOptions
) -> Plan:
    """Send everything that is to be created with dryRun=All; the plan refuses what the server does.

    What needs a namespace or a definition that only the restore will make is not checked.
    """
    served_now = (await discover(connection)).served
    served, around = await context(archive, served_now, options.selection)
    rehearsal = _Rehearsal(connection, archive, options, (served_now, served), around)
    found = prepared.assessment
    checked = await rehearsal.check_all(found.candidates)
    return plan_restore(prepared.plan.request, checked, found.extras, found.muted, prepared.volumes)


class _Rehearsal:
    def __init__(
        self,
        connection: Connection,
        archive: Archive,
        options: RestoreOptions,
        served: tuple[Served, Served],
        around: Surroundings,
    ) -> None:
        self._archive = archive
        self._options = options
        self._served_now, self._served = served
        self._around = around
        self._checker = Writer(connection, dry_run=True)
        self._gate = asyncio.Semaphore(options.parallel)
        self._kinds = {each.kind.name: each.kind for each in archive.contents.kinds}

    async def check_all(self, candidates: tuple[Candidate, ...]) -> list[Candidate]:
        """The candidates; those that the server would not create are refused with its words."""
        created = [each for each in candidates if each.action is Action.CREATE]
        names = (each.key.split("/") for each in created if each.key.startswith("namespaces/"))
        coming = {self._options.namespaces.get(name, name) for _, _, name in names}
        verdicts: dict[str, Verdict] = {}
        for start in range(0, len(created), _READ_AT_ONCE):
            batch = created[start : start + _READ_AT_ONCE]
            contents = [
                (self._kinds[each.key.partition("/")[0]], bytes.fromhex(each.content))
                for each in batch
            ]
            manifests = await self._archive.read_contents(contents)
            answers = await asyncio.gather(
                *(
                    self._check(each.key, manifest, coming)
                    for each, manifest in zip(batch, manifests, strict=True)
                )
            )
            verdicts |= {each.target: each for each in answers if each is not None}
        return [
            msgspec.structs.replace(each, action=Action.REFUSE, verdict=verdicts[each.key])
            if each.key in verdicts
            else each
            for each in candidates
        ]

    async def _check(self, key: str, manifest: Manifest, coming: set[str]) -> Verdict | None:
        kind, wanted = transform(manifest, self._served, self._options, self._around.kept_volumes)
        namespace = wanted["metadata"].get("namespace", "")
        if namespace in coming or self._served_now.find(kind.api_version, kind.kind) is None:
            return None
        # Owners get their UIDs when they are made.
        wanted["metadata"].pop("ownerReferences", None)
        try:
            async with self._gate:
                await self._checker.create(kind.resource, wanted, namespace=namespace)
        except ConflictError:
            return None
        except ShipkeeperError as error:
            return refused(key, error.reason, error.message, error.hint)
        return None
