"""`shipkeeper etcd health|defrag`: how members are, and room made in their databases."""

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from shipkeeper.cli.etcd_flags import HERE, MemberFlags
from shipkeeper.cli.output import show, write
from shipkeeper.cli.output_flags import ClientDryRun, Output
from shipkeeper.engine.verdict import blocking
from shipkeeper.errors import EXIT_FINDINGS, BlockedError, ShipkeeperError
from shipkeeper.etcd import members as asking
from shipkeeper.etcd.health import assess
from shipkeeper.etcd.health_report import health_report
from shipkeeper.etcd.members import Observed
from shipkeeper.etcd.status_report import human_size


class UnhealthyError(ShipkeeperError):
    """A member, or the cluster of them, is not well."""

    exit_code = EXIT_FINDINGS


CheckData = Annotated[
    bool, Parameter(help="Also compare all members' data; takes a second for each GB.")
]
Whole = Annotated[
    bool, Parameter(name="--cluster", help="Every member of the cluster, not the endpoints alone.")
]


def health(
    *,
    cluster: Whole = False,
    check_data: CheckData = False,
    output: Output = None,
    members: MemberFlags = HERE,
) -> None:
    """Tell how the members are: leader, lag, alarms, size and holes, versions, certificates.

    Exit code 4 if something is wrong that also forbids an upgrade of etcd.
    """
    endpoints, credentials = members.members()
    observed = asking.observe(endpoints, credentials, whole=cluster, data=check_data)
    now = datetime.now(UTC)
    verdicts = assess(observed, now)
    show(health_report(observed, verdicts, now), output)
    wrong = blocking(verdicts)
    if wrong:
        raise UnhealthyError(wrong[0].message, reason=wrong[0].reason, hint=wrong[0].remedy)


def defrag(
    *, cluster: Whole = False, dry_run: ClientDryRun = "none", members: MemberFlags = HERE
) -> None:
    """Rewrite members' databases without their holes, one after the other, the leader last.

    Refused while a member is not well: the one at work answers nobody.
    """
    endpoints, credentials = members.members()
    observed = asking.observe(endpoints, credentials, whole=cluster)
    for endpoint in _order(observed):
        _require_well(asking.observe(endpoints, credentials, whole=cluster))
        if dry_run == "client":
            write(f"member {endpoint} defragmented (dry run)\n")
            continue
        before = _size(asking.observe((endpoint,), credentials))
        asking.defragment(endpoint, credentials)
        after = _size(asking.observe((endpoint,), credentials))
        write(f"member {endpoint} defragmented: {human_size(before)} to {human_size(after)}\n")


def _order(observed: Observed) -> list[str]:
    leading_last = sorted(observed.states, key=lambda state: state.leader == state.member)
    return [state.endpoint for state in leading_last]


def _require_well(observed: Observed) -> None:
    # A full member is what defragmentation is for.
    wrong = [
        verdict
        for verdict in blocking(assess(observed, datetime.now(UTC)))
        if verdict.reason != "NoSpace"
    ]
    if wrong:
        raise BlockedError(wrong[0].message, reason=wrong[0].reason, hint=wrong[0].remedy)


def _size(observed: Observed) -> int:
    return observed.states[0].db_size
