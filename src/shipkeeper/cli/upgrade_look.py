"""`shipkeeper upgrade versions|plan`: nothing is changed."""

from datetime import UTC, datetime

from shipkeeper.cli.backup_flags import HERE, RepositoryFlags
from shipkeeper.cli.departure_flags import UNHURRIED, DepartureFlags
from shipkeeper.cli.drain_flags import CAREFUL, DrainFlags
from shipkeeper.cli.flags import CURRENT, Cluster, Output
from shipkeeper.cli.fleet_flags import ONE_BY_ONE, FleetFlags
from shipkeeper.cli.output import show
from shipkeeper.cli.upgrade_flags import AS_USUAL, Pinned, To, UpgradeFlags
from shipkeeper.engine.plan import Plan
from shipkeeper.errors import EXIT_FINDINGS, BlockedError
from shipkeeper.kube.connection import connect
from shipkeeper.kube.reader import Reader
from shipkeeper.upgrade.catalog import catalog
from shipkeeper.upgrade.observe import observe_versions
from shipkeeper.upgrade.plan_report import upgrade_report
from shipkeeper.upgrade.procedure import prepare
from shipkeeper.upgrade.versions import violations
from shipkeeper.upgrade.versions_report import versions_report


async def versions(
    *, pinned_controllers: Pinned = False, output: Output = None, cluster: Cluster = CURRENT
) -> int:
    """Show what runs where, until when it is supported, and what breaks the skew policy now.

    Exit code 4 if something breaks it.
    """
    async with connect(cluster.options()) as connection:
        seen = await observe_versions(Reader(connection))
    broken = violations(seen, shared=not pinned_controllers)
    show(versions_report(seen, broken, catalog(), datetime.now(UTC).date()), output)
    return EXIT_FINDINGS if broken else 0


async def plan(
    *,
    to: To,
    output: Output = None,
    upgrade: UpgradeFlags = AS_USUAL,
    fleet: FleetFlags = ONE_BY_ONE,
    drain: DrainFlags = CAREFUL,
    departure: DepartureFlags = UNHURRIED,
    repository: RepositoryFlags = HERE,
    cluster: Cluster = CURRENT,
) -> None:
    """Show every step of an upgrade with the words it runs, proven inside the skew policy."""
    options = upgrade.options(to, fleet, drain, departure, repository)
    async with connect(cluster.options(page_size=drain.chunk_size)) as connection:
        planned = await prepare(connection, options, catalog())
    show(upgrade_report(planned, datetime.now(UTC)), output)
    refuse(planned)


def refuse(planned: Plan) -> None:
    """BlockedError if something forbids the whole upgrade, or a part of it."""
    if planned.blockers:
        first = planned.blockers[0]
        raise BlockedError(
            "; ".join(f"{each.target}: {each.message}" for each in planned.blockers[:5]),
            reason=first.reason,
            hint=first.remedy,
        )
