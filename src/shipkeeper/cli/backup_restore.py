"""`shipkeeper backup restore`: objects of a backup brought back, by a plan."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Group, Parameter
from cyclopts.validators import Number

from shipkeeper.backup.archive import open_archive
from shipkeeper.backup.opening import open_repository
from shipkeeper.backup.rehearsal import rehearse
from shipkeeper.backup.restore import execute, prepare
from shipkeeper.backup.restore_options import Existing, ObjectPatch, RestoreOptions
from shipkeeper.backup.restore_plan import WRITES, has_work
from shipkeeper.backup.restore_report import restore_report
from shipkeeper.backup.selection import require_known_kinds
from shipkeeper.backup.take import Progress, Tell
from shipkeeper.backup.volumes.destination import Return
from shipkeeper.cli.backup_flags import EVERYTHING, HERE, RepositoryFlags, SelectionFlags
from shipkeeper.cli.backup_progress import progress_line
from shipkeeper.cli.backup_run import conclude_restore, see_restore_through
from shipkeeper.cli.execution import open_journal
from shipkeeper.cli.flags import CURRENT, Cluster, DryRun, Output
from shipkeeper.cli.output import say, show
from shipkeeper.cli.volume_flags import OVER_SSH, HostFlags
from shipkeeper.engine.plan import Plan
from shipkeeper.errors import IncompleteError, UsageError
from shipkeeper.kube.connection import connect

_HOW = Group("How they come back", sort_key=0)


@Parameter(name="*", group=_HOW)
@dataclass(frozen=True, kw_only=True)
class RestoreFlags:
    """How objects come back, and what becomes of those that are there."""

    existing: Annotated[
        Literal["skip", "update", "recreate"],
        Parameter(
            help="What is there and differs: leave it, update it, or also delete and make again "
            "what cannot be updated."
        ),
    ] = "skip"
    namespace_map: Annotated[
        tuple[str, ...], Parameter(help="OLD=NEW: restore a namespace under another name.")
    ] = ()
    storage_class_map: Annotated[
        tuple[str, ...], Parameter(help="OLD=NEW: another storage class for volume claims.")
    ] = ()
    image_map: Annotated[
        tuple[str, ...], Parameter(help="OLD=NEW: another beginning for names of images.")
    ] = ()
    patch: Annotated[
        tuple[str, ...],
        Parameter(
            help="KIND[/NAMESPACE][/NAME]=FILE: a JSON patch for these objects, from a file."
        ),
    ] = ()
    prune: Annotated[
        bool, Parameter(help="Delete what is chosen and not in the backup; see it with --dry-run.")
    ] = False
    scale_to_zero: Annotated[
        bool, Parameter(help="Workloads come back without replicas, jobs suspended.")
    ] = False
    keep_webhooks: Annotated[
        bool, Parameter(help="Do not quiet webhooks that fail closed without a backend.")
    ] = False
    volumes: Annotated[
        Literal["none", "in-place", "new", "new-claim"],
        Parameter(
            help="Bring volumes back: in place of what is in them, or beside it in new directories "
            "(snapshots: new claims); new-claim makes volumes and claims of the directories, too."
        ),
    ] = "none"
    volume: Annotated[
        tuple[str, ...], Parameter(help="Only these volumes, by their ids; * fits any name.")
    ] = ()
    volume_map: Annotated[
        tuple[str, ...],
        Parameter(help="VOLUME=NODE:/PATH: the files of a volume into another, empty directory."),
    ] = ()
    parallel: Annotated[
        int, Parameter(help="Requests at a time.", validator=Number(gte=1, lte=180))
    ] = 48

    def options(self, objects: SelectionFlags) -> RestoreOptions:
        """The same, for the procedure."""
        return RestoreOptions(
            selection=objects.selection(),
            existing=Existing(self.existing),
            namespaces=_mapping(self.namespace_map, "--namespace-map"),
            storage_classes=_mapping(self.storage_class_map, "--storage-class-map"),
            images=_mapping(self.image_map, "--image-map"),
            patches=tuple(_patch(each) for each in self.patch),
            prune=self.prune,
            scaled_to_zero=self.scale_to_zero,
            keep_webhooks=self.keep_webhooks,
            parallel=self.parallel,
            volumes=self._volumes(),
            only_volumes=self.volume,
            volume_places=_mapping(self.volume_map, "--volume-map"),
        )

    def _volumes(self) -> Return:
        if self.volumes == "none" and (self.volume or self.volume_map):
            raise UsageError(
                "volumes are named, and none are to come back",
                reason="AmbiguousVolumes",
                hint="say how with --volumes in-place, new or new-claim",
            )
        return Return(self.volumes)


AS_THEY_WERE = RestoreFlags()


async def restore(
    backup: str = "latest",
    /,
    *,
    dry_run: DryRun = "none",
    output: Output = None,
    objects: SelectionFlags = EVERYTHING,
    flags: RestoreFlags = AS_THEY_WERE,
    hosts: HostFlags = OVER_SSH,
    repository: RepositoryFlags = HERE,
    cluster: Cluster = CURRENT,
) -> None:
    """Bring objects of a backup back; run again, it goes on where it stopped."""
    options = flags.options(objects)
    async with (
        open_repository(repository.place(), reads=True) as opened,
        connect(cluster.options()) as connection,
    ):
        archive = await open_archive(opened, backup)
        require_known_kinds(options.selection, [each.kind for each in archive.contents.kinds])
        prepared = await prepare(connection, archive, opened.id, options)
        if dry_run != "none":
            plan = prepared.plan
            if dry_run == "server":
                plan = await rehearse(connection, archive, prepared, options)
            show(restore_report(plan), output)
            _complain(plan)
            return
        if not has_work(prepared.plan):
            if output:
                show(restore_report(prepared.plan), output)
            say("nothing to restore: everything that can be is there")
            _complain(prepared.plan)
            return
        journal = open_journal()
        with progress_line("restored") as progress:
            count = _Counter(prepared.plan, progress)
            result = await see_restore_through(
                lambda tell: execute(
                    connection, archive, journal, prepared, tell, count, hosts.opening
                )
            )
    conclude_restore(journal, result, output)


class _Counter:
    """Adds objects up and passes the sum on."""

    def __init__(self, plan: Plan, tell: Tell) -> None:
        self._total = sum(item.action in WRITES for step in plan.steps for item in step.items)
        self._done = 0
        self._tell = tell

    def __call__(self, number: int) -> None:
        self._done += number
        total = max(self._done, self._total)
        self._tell(Progress(objects=self._done, of_objects=total, content_bytes=0))


def _complain(plan: Plan) -> None:
    """Raise the error that names what is refused, if anything is."""
    if not plan.blockers:
        return
    first = plan.blockers[0]
    shown = "; ".join(f"{each.target}: {each.message}" for each in plan.blockers[:3])
    more = f" and {len(plan.blockers) - 3} more" if len(plan.blockers) > 3 else ""
    raise IncompleteError(
        f"{len(plan.blockers)} cannot be restored: {shown}{more}",
        reason=first.reason,
        hint=first.remedy or "see them all with: shipkeeper backup restore --dry-run=client",
    )


def _mapping(pairs: tuple[str, ...], flag: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        old, is_pair, new = pair.partition("=")
        if not (old and is_pair and new):
            raise UsageError(
                f"{flag} {pair!r} is no mapping", reason="InvalidMapping", hint="write OLD=NEW"
            )
        found[old] = new
    return found


def _patch(text: str) -> ObjectPatch:
    target, is_pair, file = text.partition("=")
    if not (target and is_pair):
        raise UsageError(
            f"--patch {text!r} names no file", reason="InvalidPatch", hint="write KIND/NAME=FILE"
        )
    try:
        operations = msgspec.yaml.decode(
            Path(file).read_bytes(), type=tuple[dict[str, object], ...]
        )
    except (OSError, msgspec.DecodeError) as error:
        raise UsageError(
            f"cannot read the JSON patch {file}: {error}",
            reason="InvalidPatch",
            hint="it is a list of operations, as JSON or YAML (RFC 6902)",
        ) from error
    return ObjectPatch(target=target, operations=operations)
