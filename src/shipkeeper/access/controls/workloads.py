"""Groups 5.2 to 5.6: what pods are let do, and how namespaces are kept apart. Pure."""

from collections.abc import Callable, Iterator
from typing import Any

from shipkeeper.access.controls.control import Control
from shipkeeper.access.controls.rights import outside_system
from shipkeeper.access.policy import Policy
from shipkeeper.access.references import containers, many, one
from shipkeeper.engine.finding import Answer, Severity

Spec = dict[str, Any]
Fault = Callable[[Spec], bool]

_ENFORCE = "pod-security.kubernetes.io/enforce"
_STRICT = ("baseline", "restricted")
_OWN = ("kube-node-lease", "kube-public", "kube-system")


def _container(fault: Fault) -> Fault:
    return lambda spec: any(fault(each) for each in containers(spec))


def _context(spec: Spec) -> Spec:
    return one(spec, "securityContext")


def _capabilities(container: Spec) -> Spec:
    return one(_context(container), "capabilities")


def _runs_as_root(spec: Spec) -> bool:
    pod = _context(spec)
    for container in containers(spec):
        own = _context(container)
        user = own.get("runAsUser", pod.get("runAsUser"))
        not_root = own.get("runAsNonRoot", pod.get("runAsNonRoot"))
        if user == 0 or (user is None and not not_root):
            return True
    return False


def _drops_net_raw(container: Spec) -> bool:
    return not {"ALL", "NET_RAW"}.isdisjoint(_dropped(container))


def _dropped(container: Spec) -> list[str]:
    return _capabilities(container).get("drop") or []


def _has_no_seccomp(spec: Spec) -> bool:
    pod = "seccompProfile" in _context(spec)
    return not pod and any("seccompProfile" not in _context(each) for each in containers(spec))


def _secret_in_environment(container: Spec) -> bool:
    by_key = any(one(one(each, "valueFrom"), "secretKeyRef") for each in many(container, "env"))
    return by_key or any(one(each, "secretRef") for each in many(container, "envFrom"))


_LOW, _HIGH = Severity.LOW, Severity.HIGH
_CONTROLS: tuple[tuple[str, str, Severity, Fault], ...] = (
    (
        "5.2.2",
        "No privileged pods",
        _HIGH,
        _container(lambda each: bool(_context(each).get("privileged"))),
    ),
    ("5.2.3", "No pods with the host's processes", _HIGH, lambda spec: bool(spec.get("hostPID"))),
    ("5.2.4", "No pods with the host's IPC", _HIGH, lambda spec: bool(spec.get("hostIPC"))),
    ("5.2.5", "No pods in the host's network", _HIGH, lambda spec: bool(spec.get("hostNetwork"))),
    (
        "5.2.6",
        "No privileges beyond the parent's",
        Severity.MEDIUM,
        _container(lambda each: _context(each).get("allowPrivilegeEscalation") is not False),
    ),
    ("5.2.7", "No containers as root", Severity.MEDIUM, _runs_as_root),
    (
        "5.2.8",
        "No raw network packets",
        _LOW,
        _container(lambda each: not _drops_net_raw(each)),
    ),
    (
        "5.2.9",
        "No added capabilities",
        Severity.MEDIUM,
        _container(lambda each: bool(_capabilities(each).get("add"))),
    ),
    (
        "5.2.10",
        "All capabilities are dropped",
        _LOW,
        _container(lambda each: "ALL" not in _dropped(each)),
    ),
    (
        "5.2.11",
        "No Windows host processes",
        _HIGH,
        lambda spec: bool(one(_context(spec), "windowsOptions").get("hostProcess")),
    ),
    (
        "5.2.12",
        "No host paths",
        _HIGH,
        lambda spec: any("hostPath" in each for each in many(spec, "volumes")),
    ),
    (
        "5.2.13",
        "No host ports",
        Severity.MEDIUM,
        _container(lambda each: any(port.get("hostPort") for port in many(each, "ports"))),
    ),
    (
        "5.4.1",
        "Secrets are mounted, not put into the environment",
        _LOW,
        _container(_secret_in_environment),
    ),
    ("5.6.2", "Seccomp is on", Severity.MEDIUM, _has_no_seccomp),
)
_POD_SECURITY = Control(
    id="5.2.1", title="Namespaces enforce Pod Security", remedy=f"label them {_ENFORCE}=baseline"
)
_POLICIES = Control(
    id="5.3.2",
    title="Every namespace has a NetworkPolicy",
    remedy="deny by default, then allow what is needed",
)
_DEFAULT_NAMESPACE = Control(
    id="5.6.4",
    title="Nothing runs in the namespace default",
    severity=_LOW,
    remedy="give each application a namespace",
)


def workload_findings(policy: Policy) -> Iterator[Answer]:
    """The answers of groups 5.2 to 5.6; the system's own pods do not count."""
    no_pods, no_spaces = policy.lacks("Pod"), policy.lacks("Namespace")
    pods = list(outside_system(policy.pods))
    for id_, title, severity, fault in _CONTROLS:
        control = Control(
            id=id_, title=title, severity=severity, remedy="change the pod's securityContext"
        )
        yield control.judged((f"pod/{pod.key}" for pod in pods if fault(pod.spec)), no_pods)
    spaces = [each for each in policy.of_kind("Namespace") if each.name not in _OWN]
    loose = (
        f"namespace/{each.name}"
        for each in spaces
        if each.metadata.labels.get(_ENFORCE) not in _STRICT
    )
    yield _POD_SECURITY.judged(loose, no_spaces)
    guarded = {each.namespace for each in policy.of_kind("NetworkPolicy")}
    open_ = (f"namespace/{each.name}" for each in spaces if each.name not in guarded)
    # Without the policies every namespace would seem to have none.
    no_policies = policy.lacks("NetworkPolicy")
    yield _POLICIES.judged(() if no_policies else open_, no_policies or no_spaces)
    in_default = (f"pod/{pod.key}" for pod in pods if pod.namespace == "default")
    yield _DEFAULT_NAMESPACE.judged(in_default, no_pods)
