"""Flags and feature gates that components of the target refuse: they would not start; pure."""

from collections.abc import Iterable, Iterator

import msgspec

from shipkeeper.engine.finding import Finding, Severity
from shipkeeper.upgrade.catalog import Catalog
from shipkeeper.upgrade.check.evidence import Evidence, ProgramArguments
from shipkeeper.upgrade.check.programs import MODE
from shipkeeper.upgrade.component import Name

# kubeadm's own configuration formats: the last minor whose kubeadm reads them.
# Source: cmd/kubeadm/app/apis/kubeadm/v1beta4/doc.go and k/k#136016.
KUBEADM_FORMATS = {
    "kubeadm.k8s.io/v1beta1": 21,
    "kubeadm.k8s.io/v1beta2": 26,
    "kubeadm.k8s.io/v1beta3": 36,
}
# Values of flags by the last minor that takes them: lists are taken apart. Sources: the changelogs
# of 1.25 and 1.30 (admission plugins) and of 1.26 (kube-proxy's userspace mode), and KEP-2395
# (clouds in the components themselves), of which k/k#117503 switched off in 1.29 what was left.
_PLUGINS = {"PodSecurityPolicy": 24, "SecurityContextDeny": 29}
# A controller manager starts its cloud; an API server looks at the name only, and since 1.29 only.
_SWITCHED_OFF = {"azure": 28, "gce": 28, "vsphere": 28}
_CLOUDS = {"openstack": 25, "aws": 26, **_SWITCHED_OFF}
_NAMES_OF_CLOUDS = {"openstack": 28, "aws": 28, **_SWITCHED_OFF}
# With this gate set to false, they are left on up to a minor.
_GATE_OF_CLOUDS, _LAST_OF_CLOUDS = "DisableCloudProviders", 30
_VALUES = {
    (Name.API_SERVER, "enable-admission-plugins"): _PLUGINS,
    (Name.API_SERVER, "disable-admission-plugins"): _PLUGINS,
    (Name.API_SERVER, "cloud-provider"): _NAMES_OF_CLOUDS,
    (Name.CONTROLLER_MANAGER, "cloud-provider"): _CLOUDS,
    (Name.PROXY, MODE): {"userspace": 25},
}
# What every kubeadm up to 1.21 started with by itself: a newer one leaves it out by itself, too.
_OF_KUBEADM = {("insecure-port", "0"), ("port", "0")}


def judge_settings(evidence: Evidence, target: int, catalog: Catalog) -> Iterator[Finding]:
    """Every setting that the target's components refuse."""
    programs = evidence.programs
    if evidence.kubeadm_config:
        programs = tuple(map(_of_people, programs))
    yield from judge_programs(programs, target, catalog)
    last = KUBEADM_FORMATS.get(evidence.kubeadm_config)
    if last is not None and last < target:
        yield Finding(
            rule="RemovedKubeadmConfig",
            severity=Severity.HIGH,
            target="ConfigMap kube-system/kubeadm-config",
            message=f"kubeadm of 1.{last + 1} and newer does not read {evidence.kubeadm_config}",
            evidence=(f"its ClusterConfiguration is {evidence.kubeadm_config}",),
            remedy="kubeadm config migrate, with the kubeadm that is installed now",
        )


def judge_programs(
    programs: Iterable[ProgramArguments], target: int, catalog: Catalog
) -> Iterator[Finding]:
    """Every flag and feature gate that the target's components refuse."""
    for each in programs:
        yield from _flags(each, target, catalog)
        yield from _values(each, target)
        yield from _gates(each, target, catalog)


def _flags(each: ProgramArguments, target: int, catalog: Catalog) -> Iterator[Finding]:
    for flag, value in each.flags.items():
        last = catalog.settings.flag_ends(each.component, flag)
        if last is not None and last < target:
            yield Finding(
                rule="RemovedFlag",
                severity=Severity.HIGH,
                target=f"{each.target} --{flag}",
                message=f"{each.component} of 1.{last + 1} and newer does not take --{flag}: "
                "it would not start",
                evidence=(f"{each.source}: --{flag}" + (f"={value}" if value else ""),),
                remedy=f"remove --{flag}, also where it comes from (kubeadm-config, patches)",
            )


def _values(each: ProgramArguments, target: int) -> Iterator[Finding]:
    for (component, flag), ends in _VALUES.items():
        given = each.flags.get(flag, "") if each.component == component else ""
        for value in filter(None, map(str.strip, given.split(","))):
            last = ends.get(value)
            if value in _SWITCHED_OFF and each.gates.get(_GATE_OF_CLOUDS) is False:
                last = _LAST_OF_CLOUDS
            if last is not None and last < target:
                yield Finding(
                    rule="RemovedFlagValue",
                    severity=Severity.HIGH,
                    target=f"{each.target} --{flag}={value}",
                    message=f"{component} of 1.{last + 1} and newer does not take {value} for "
                    f"--{flag}: it would not start",
                    evidence=(f"{each.source}: --{flag}={given}",),
                    remedy=f"remove {value} from --{flag}, and replace what it does",
                )


def _gates(each: ProgramArguments, target: int, catalog: Catalog) -> Iterator[Finding]:
    for gate, value in each.gates.items():
        said = f"{each.source}: {gate}={str(value).lower()}"
        last = catalog.settings.gate_ends(gate)
        lock = catalog.settings.locked.get(gate)
        if last is not None and last < target:
            why = f"1.{last + 1} and newer do not know the feature gate {gate}"
            rule, remedy = "RemovedFeatureGate", f"remove {gate} from the feature gates"
        elif lock is not None and lock.since <= target and lock.to is not value:
            why = f"1.{lock.since} and newer lock the feature gate {gate} to {str(lock.to).lower()}"
            rule, remedy = "LockedFeatureGate", f"remove {gate}: it can no longer be changed"
        else:
            continue
        yield Finding(
            rule=rule,
            severity=Severity.HIGH,
            target=f"{each.target} {gate}",
            message=f"{why}: {each.component} would not start",
            evidence=(said,),
            remedy=remedy,
        )


def _of_people(each: ProgramArguments) -> ProgramArguments:
    """A pod's command line without what kubeadm set by itself."""
    if not each.target.startswith("Pod "):
        return each
    flags = {flag: value for flag, value in each.flags.items() if (flag, value) not in _OF_KUBEADM}
    return msgspec.structs.replace(each, flags=flags)
