"""`shipkeeper access audit`: ways to more power, CIS controls, and disorder."""

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter

from shipkeeper import __version__
from shipkeeper.access.assembly import with_hosts
from shipkeeper.access.audit import Audit, Baseline, baseline_of
from shipkeeper.access.audit import audit as make_audit
from shipkeeper.access.audit_report import audit_report
from shipkeeper.access.controls.host import HostSurvey
from shipkeeper.access.finding import Severity
from shipkeeper.access.formats.junit import junit
from shipkeeper.access.formats.page import page
from shipkeeper.access.formats.sarif import sarif
from shipkeeper.access.kinds import EVERY_KIND
from shipkeeper.access.survey import survey
from shipkeeper.cli.access_flags import LIVE, PolicyFlags, opened_policy
from shipkeeper.cli.backup_flags import HERE, RepositoryFlags
from shipkeeper.cli.output import say, show, write
from shipkeeper.errors import EXIT_FINDINGS, ShipkeeperError, UsageError
from shipkeeper.hosts.options import Login, SshOptions
from shipkeeper.hosts.ssh import SshHost
from shipkeeper.model.words import counted


class AuditFailedError(ShipkeeperError):
    """Something failed that nobody has accepted, as bad as `--fail-on` says or worse."""

    exit_code = EXIT_FINDINGS


async def audit(
    *,
    output: Annotated[
        Literal["json", "yaml", "wide", "name", "sarif", "junit", "html"] | None,
        Parameter(name=("--output", "-o"), help="Output format."),
    ] = None,
    fail_on: Annotated[
        Literal["low", "medium", "high", "critical", "never"],
        Parameter(help="The least severity for exit code 4."),
    ] = "high",
    include_system: Annotated[bool, Parameter(help="Also what Kubernetes grants itself.")] = False,
    baseline: Annotated[str, Parameter(help="A file of findings that are accepted.")] = "",
    write_baseline: Annotated[str, Parameter(help="Write such a file of all that fails now.")] = "",
    host: Annotated[
        tuple[str, ...],
        Parameter(help="Also look at the files of this host, by SSH ([user@]host[:port])."),
    ] = (),
    ssh_identity: Annotated[str, Parameter(help="The SSH key to log in with.")] = "",
    ssh_sudo: Annotated[bool, Parameter(help="Look at the files with sudo.")] = False,
    policy: PolicyFlags = LIVE,
    repository: RepositoryFlags = HERE,
) -> None:
    """Find ways to more power, CIS controls that fail, and disorder; reads, and never writes.

    Pass, fail and not evaluated are three answers: what may not be read is never a pass.
    """
    async with opened_policy(policy, repository, EVERY_KIND) as (found, _):
        pass
    known = _read_baseline(baseline) if baseline else None
    surveys = await _surveys(host, ssh_identity, sudo=ssh_sudo)
    for each in surveys:
        found = with_hosts(found, each.static_pods(), each.texts)
    made = make_audit(found, with_system=include_system, baseline=known, hosts=surveys)
    if write_baseline:
        _write_baseline(made, write_baseline)
    _show(made, output)
    worst = made.worst()
    if worst and fail_on != "never" and worst.rank >= Severity(fail_on).rank:
        count = sum(each.counts for each in made.findings)
        raise AuditFailedError(
            f"{counted(count, 'check')} failed, the worst is {worst.value}",
            reason="AuditFailed",
            hint="mend them, or accept them in a file for --baseline",
        )


async def _surveys(hosts: tuple[str, ...], identity: str, *, sudo: bool) -> tuple[HostSurvey, ...]:
    found: list[HostSurvey] = []
    for each in hosts:
        login = Login.parse(each)
        options = SshOptions(
            user=login.user,
            port=login.port,
            identities=(Path(identity),) if identity else (),
            sudo=sudo,
        )
        found.append(await survey(SshHost(login.address, options)))
    return tuple(found)


def _show(made: Audit, output: str | None) -> None:
    match output:
        case "sarif":
            write(
                f"{msgspec.json.format(msgspec.json.encode(sarif(made, __version__))).decode()}\n"
            )
        case "junit":
            write(junit(made))
        case "html":
            write(page(made))
        case _:
            show(audit_report(made), output)


def _read_baseline(path: str) -> Baseline:
    try:
        return msgspec.yaml.decode(Path(path).read_bytes(), type=Baseline)
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(
            f"{path} is no baseline: {error}",
            reason="BadBaseline",
            hint="make one with: shipkeeper access audit --write-baseline FILE",
        ) from error


def _write_baseline(made: Audit, path: str) -> None:
    accepted = baseline_of(made.findings, "accepted as it was found")
    Path(path).write_bytes(msgspec.yaml.encode(msgspec.to_builtins(accepted)))
    say(f"{counted(len(accepted.accepted), 'finding')} written to {path}; say why you accept each")
