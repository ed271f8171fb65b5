"""`shipkeeper resume` and `shipkeeper abort`: on with an interrupted run, or back."""

from shipkeeper.access.certs.renew.plan import PROCEDURE as RENEW
from shipkeeper.access.certs.rotate.plan import PROCEDURE as ROTATE
from shipkeeper.backup import restore
from shipkeeper.backup.restore_plan import PROCEDURE as RESTORE
from shipkeeper.cli import upgrade_run
from shipkeeper.cli.execution import conclude, open_journal, see_through
from shipkeeper.cli.flags import CURRENT, Cluster, Output
from shipkeeper.cli.metrics import UNMEASURED, MetricsFlags
from shipkeeper.cli.output import say, write
from shipkeeper.cli.words import KubectlWords
from shipkeeper.engine.journal import RunRecord
from shipkeeper.engine.progress import quiet
from shipkeeper.errors import UsageError
from shipkeeper.etcd.recover.plan import PROCEDURE as RECOVER
from shipkeeper.kube.connection import connect
from shipkeeper.nodes import procedure
from shipkeeper.upgrade.plan import PROCEDURE as UPGRADE


async def resume(
    run: str,
    /,
    *,
    output: Output = None,
    metrics: MetricsFlags = UNMEASURED,
    cluster: Cluster = CURRENT,
) -> None:
    """Go on with an interrupted run where it stopped; nothing is done twice."""
    journal = open_journal()
    record = journal.run(run)
    if record.procedure == RESTORE:
        raise UsageError(
            f"run {run} is a restore, which needs its repository",
            reason="NeedsRepository",
            hint=f"run the same `shipkeeper backup restore {record.plan.request['backup']}` again",
        )
    if record.procedure in _ON_HOSTS:
        raise _needs_hosts(record, "")
    if record.procedure == UPGRADE:
        await upgrade_run.resume(run, output=output, cluster=cluster)
        return
    in_words = record.procedure == "drain" and not output
    async with connect(cluster.options()) as connection:
        result = await see_through(
            lambda tell: procedure.resume(connection, journal, record, tell),
            in_words=in_words,
            metrics=metrics,
        )
    conclude(journal, result, output, in_words=in_words)


async def abort(run: str, /, *, cluster: Cluster = CURRENT) -> None:
    """Give a run up: nodes that it cordoned are uncordoned, webhooks that it quieted are back."""
    journal = open_journal()
    record = journal.run(run)
    if record.procedure in _ON_HOSTS:
        raise _needs_hosts(record, " --back" if record.procedure == ROTATE else " --abort")
    if record.procedure == UPGRADE:
        await upgrade_run.abort(run, cluster=cluster)
        return
    async with connect(cluster.options()) as connection:
        if record.procedure == RESTORE:
            await restore.abort(connection, journal, record, quiet)
        else:
            await procedure.abort(connection, journal, record, KubectlWords(write, say))
    write(f"run/{run} aborted\n")


# What is run over SSH by hosts that are named, and how.
_ON_HOSTS = {
    RECOVER: ("a recovery of etcd", "etcd recover {snapshot}"),
    RENEW: ("a renewal of certificates", "certs renew"),
    ROTATE: ("a stage of a rotation", "certs rotate-ca {authority}"),
}


def _needs_hosts(record: RunRecord, flag: str) -> UsageError:
    what, command = _ON_HOSTS[record.procedure]
    return UsageError(
        f"run {record.id} is {what}, which needs the ways to its hosts",
        reason="NeedsHosts",
        hint=f"run the same `shipkeeper {command.format_map(record.plan.request)} "
        f"--host …{flag}` again",
    )
