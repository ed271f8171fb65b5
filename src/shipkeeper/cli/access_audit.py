"""`shipkeeper access audit`: ways to more power, CIS controls, and disorder."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from shipkeeper.access.assembly import with_hosts
from shipkeeper.access.audit import audit as make_audit
from shipkeeper.access.controls.host import HostSurvey
from shipkeeper.access.kinds import EVERY_KIND
from shipkeeper.access.survey import survey
from shipkeeper.cli.access_flags import LIVE, PolicyFlags
from shipkeeper.cli.access_sources import opened_policy
from shipkeeper.cli.backup_flags import HERE, RepositoryFlags
from shipkeeper.cli.findings import USUAL, FindingsFlags, FindingsOutput, tell_findings
from shipkeeper.hosts.options import Login, SshOptions
from shipkeeper.hosts.ssh import SshHost


async def audit(
    *,
    output: FindingsOutput = None,
    include_system: Annotated[bool, Parameter(help="Also what Kubernetes grants itself.")] = False,
    host: Annotated[
        tuple[str, ...],
        Parameter(help="Also look at the files of this host, by SSH ([user@]host[:port])."),
    ] = (),
    ssh_identity: Annotated[str, Parameter(help="The SSH key to log in with.")] = "",
    ssh_sudo: Annotated[bool, Parameter(help="Look at the files with sudo.")] = False,
    findings: FindingsFlags = USUAL,
    policy: PolicyFlags = LIVE,
    repository: RepositoryFlags = HERE,
) -> None:
    """Find ways to more power, CIS controls that fail, and disorder; reads, and never writes.

    Pass, fail and not evaluated are three answers: what may not be read is never a pass.
    """
    async with opened_policy(policy, repository, EVERY_KIND) as (found, _):
        pass
    surveys = await _surveys(host, ssh_identity, sudo=ssh_sudo)
    for each in surveys:
        found = with_hosts(found, each.static_pods(), each.texts)
    made = make_audit(found, with_system=include_system, hosts=surveys)
    tell_findings(made, output, findings)


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
