"""`shipkeeper access diff`: what a change would do to who may do what."""

from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from shipkeeper.access.difference import compare
from shipkeeper.access.observe import read_folder
from shipkeeper.access.policy import Policy
from shipkeeper.access.report import difference_report
from shipkeeper.cli.access_ask import tell_gaps
from shipkeeper.cli.access_flags import LIVE, PolicyFlags
from shipkeeper.cli.access_sources import opened_policy, policy_of_backup, policy_of_snapshot
from shipkeeper.cli.backup_flags import HERE, RepositoryFlags
from shipkeeper.cli.flags import Output
from shipkeeper.cli.output import show
from shipkeeper.errors import EXIT_FINDINGS, ShipkeeperError
from shipkeeper.model.words import counted


class AccessChangesError(ShipkeeperError):
    """Somebody gains or loses something."""

    exit_code = EXIT_FINDINGS


async def diff(
    new: str,
    /,
    *,
    applied: Annotated[
        bool, Parameter(help="The new side is applied onto the old one, not instead of it.")
    ] = False,
    output: Output = None,
    policy: PolicyFlags = LIVE,
    repository: RepositoryFlags = HERE,
) -> None:
    """Tell who gains and loses what from the cluster (or --from, --backup, --snapshot) to NEW.

    NEW is a folder or file of manifests, backup:NAME, or snapshot:FILE. Exit code 4 if anybody
    does.
    """
    async with opened_policy(policy, repository) as (old, _):
        pass
    tell_gaps(old)
    after = await _new_side(new, old, policy, repository)
    found = compare(old, _applied(old, after) if applied else after)
    show(difference_report(found), output)
    if not found.is_empty:
        raise AccessChangesError(
            f"{counted(len(found.changes), 'change')} from {found.old} to {found.new}",
            reason="AccessChanges",
        )


async def _new_side(
    new: str, old: Policy, flags: PolicyFlags, repository: RepositoryFlags
) -> Policy:
    match new.partition(":"):
        case "backup", ":", name:
            return await policy_of_backup(name, repository)
        case "snapshot", ":", file:
            return await policy_of_snapshot(file, flags, repository)
        case _:
            return read_folder(Path(new), old.version)


def _applied(old: Policy, new: Policy) -> Policy:
    """The old side with the new side's objects put over it."""
    roles = {(each.namespace, each.name): each for each in (*old.roles, *new.roles)}
    bindings = {(each.namespace, each.name): each for each in (*old.bindings, *new.bindings)}
    return msgspec.structs.replace(
        old,
        source=f"{old.source} with {new.source}",
        roles=tuple(roles.values()),
        bindings=tuple(bindings.values()),
    )
