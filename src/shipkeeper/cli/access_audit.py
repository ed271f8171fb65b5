"""`shipkeeper access audit`: ways to more power, CIS controls, and disorder."""

import asyncio
from typing import Annotated

import msgspec
from cyclopts import Parameter

from shipkeeper.access.assembly import with_hosts
from shipkeeper.access.audit import audit as make_audit
from shipkeeper.access.controls.host import HostSurvey
from shipkeeper.access.kinds import EVERY_KIND
from shipkeeper.access.policy import Policy
from shipkeeper.access.survey import SurveyError, survey
from shipkeeper.cli.access_flags import LIVE, PolicyFlags
from shipkeeper.cli.access_sources import opened_policy
from shipkeeper.cli.backup_flags import HERE, RepositoryFlags
from shipkeeper.cli.findings import USUAL, FindingsFlags, FindingsOutput, tell_findings
from shipkeeper.cli.host_flags import NO_HOST, HostFlags
from shipkeeper.cli.output import say
from shipkeeper.hosts.errors import HostError
from shipkeeper.hosts.host import Host
from shipkeeper.model.node import Node


async def audit(
    *,
    output: FindingsOutput = None,
    include_system: Annotated[bool, Parameter(help="Also what Kubernetes grants itself.")] = False,
    look: HostFlags = NO_HOST,
    findings: FindingsFlags = USUAL,
    policy: PolicyFlags = LIVE,
    repository: RepositoryFlags = HERE,
) -> None:
    """Find ways to more power, CIS controls that fail, and disorder; reads, and never writes.

    Pass, fail and not evaluated are three answers: what may not be read is never a pass.
    """
    async with opened_policy(policy, repository, EVERY_KIND) as (found, _):
        pass
    surveys = await _surveys(look, found)
    for each in surveys:
        found = with_hosts(found, each.static_pods(), each.texts)
    made = make_audit(found, with_system=include_system, hosts=surveys)
    tell_findings(made, output, findings)


async def _surveys(look: HostFlags, policy: Policy) -> tuple[HostSurvey, ...]:
    """What the hosts tell, side by side; one that cannot be looked at hides all that it has."""
    hosts = [(host.name, host) for host in look.named()]
    if look.ssh:
        host_of = look.host_of()
        nodes = msgspec.convert(msgspec.to_builtins(policy.of_kind("Node")), type=tuple[Node, ...])
        hosts += [(node.name, host_of(node)) for node in nodes]
    found = await asyncio.gather(*(_surveyed(name, host) for name, host in hosts))
    for each in found:
        if each.unreached:
            say(f"not known: host {each.host}: {each.unreached}")
    return tuple(found)


async def _surveyed(name: str, host: Host) -> HostSurvey:
    try:
        return msgspec.structs.replace(await survey(host), host=name)
    except (HostError, SurveyError) as error:
        return HostSurvey(host=name, unreached=error.message)
