"""`shipkeeper upgrade check`: what would stop or break an upgrade."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from shipkeeper.backup.opening import open_repository
from shipkeeper.cli.backup_flags import HERE, RepositoryFlags
from shipkeeper.cli.findings import USUAL, FindingsFlags, FindingsOutput, tell_findings
from shipkeeper.cli.flags import CURRENT, Cluster
from shipkeeper.cli.upgrade_flags import To
from shipkeeper.kube.connection import connect
from shipkeeper.upgrade.catalog import catalog
from shipkeeper.upgrade.check.judge import judge
from shipkeeper.upgrade.check.observe import Wanted, gather_evidence
from shipkeeper.upgrade.target import target_version


async def check(
    *,
    to: To,
    filename: Annotated[
        tuple[str, ...],
        Parameter(name=("--filename", "-f"), help="A file or folder with manifests, too."),
    ] = (),
    output: FindingsOutput = None,
    findings: FindingsFlags = USUAL,
    repository: RepositoryFlags = HERE,
    cluster: Cluster = CURRENT,
) -> None:
    """Find what would stop or break an upgrade: APIs, settings, webhooks, nodes, drains.

    Each finding has its evidence, who causes it and a remedy; what could not be looked at is said.
    """
    target = target_version(to)
    wanted = Wanted(
        files=tuple(Path(each) for each in filename), backup_at=await _last_backup(repository)
    )
    async with connect(cluster.options()) as connection:
        evidence = await gather_evidence(connection, target.minor, catalog(), wanted)
    found = judge(evidence, target.minor, catalog(), datetime.now(UTC))
    tell_findings(found, output, findings)


async def _last_backup(repository: RepositoryFlags) -> datetime | None:
    """When the newest backup was made, if a repository is named."""
    if not repository.repo:
        return None
    async with open_repository(repository.place()) as opened:
        found = await opened.backups()
    return max(
        (each.created for each in found if not each.kind), default=datetime.min.replace(tzinfo=UTC)
    )
