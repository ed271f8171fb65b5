"""The CIS benchmark's groups, each control with one of three answers. Pure."""

from collections.abc import Iterator

from shipkeeper.access.controls.control import Control
from shipkeeper.access.controls.flags import flag_findings
from shipkeeper.access.controls.host import HostSurvey
from shipkeeper.access.controls.host_files import host_findings
from shipkeeper.access.controls.rights import right_findings
from shipkeeper.access.controls.workloads import workload_findings
from shipkeeper.access.policy import Policy
from shipkeeper.engine.finding import Answer

_ON_HOSTS = (
    ("1.1", "Files of the control plane are the right owner's, and nobody else's to write"),
    ("3.2", "The audit policy covers what matters"),
    ("4.1", "Files of kubelets are the right owner's, and nobody else's to write"),
    ("4.2", "Kubelets take no anonymous requests, and ask the API server about the others"),
    ("4.3", "kube-proxy tells its metrics on loopback alone"),
)
_BY_HAND = (
    ("3.1", "Users do not log in by certificates, tokens or ServiceAccounts meant for others"),
    ("5.3.1", "The network plugin keeps NetworkPolicies"),
    ("5.4.2", "Secrets are kept outside of the cluster where that is due"),
    ("5.5.1", "Images come from where they should"),
    ("5.6.1", "Namespaces part what should be apart"),
    ("5.6.3", "Pods have a security context that suits them"),
)


def benchmark(policy: Policy, hosts: tuple[HostSurvey, ...] = ()) -> Iterator[Answer]:
    """Every control that an API and the hosts can answer; the others are not evaluated."""
    told = list(host_findings(hosts)) if hosts else []
    yield from told
    rules = {each.rule for each in told}
    yield from (each for each in flag_findings(policy) if each.rule not in rules)
    yield from right_findings(policy)
    yield from workload_findings(policy)
    for id_, title in () if hosts else _ON_HOSTS:
        yield Control(id=id_, title=title).not_evaluated("it takes a look at the hosts")
    for id_, title in _BY_HAND:
        yield Control(id=id_, title=title).not_evaluated("it is for people to judge")
