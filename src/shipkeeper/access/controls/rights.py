"""Group 5.1: who may do what too many may. Pure."""

from collections.abc import Iterable, Iterator

import msgspec

from shipkeeper.access.attributes import MASTERS
from shipkeeper.access.controls.control import Control
from shipkeeper.access.escalation.powers import EVERYWHERE, Held, Powers
from shipkeeper.access.policy import Policy
from shipkeeper.access.rbac import Grant, Rbac
from shipkeeper.access.rule import ANY
from shipkeeper.engine.finding import Answer, Severity
from shipkeeper.model.loose import LooseObject
from shipkeeper.model.rbac import Role

_BOOTSTRAP = "kubernetes.io/bootstrapping"
_SYSTEM = "kube-system"
_RBAC = "rbac.authorization.k8s.io"
_ADMISSION = "admissionregistration.k8s.io"
_READ = ("get", "list", "watch")
_WRITE = ("create", "update", "patch")


class RightControl(msgspec.Struct, frozen=True, kw_only=True):
    """A control that nobody but the system should hold certain verbs on resources."""

    control: Control
    verbs: tuple[str, ...]
    group: str
    resources: tuple[str, ...]


def _control(
    id_: str,
    title: str,
    verbs: tuple[str, ...],
    group: str,
    *resources: str,
    severity: Severity = Severity.HIGH,
) -> RightControl:
    remedy = "take the verb out of the role, or cut the binding"
    control = Control(id=id_, title=title, severity=severity, remedy=remedy)
    return RightControl(control=control, verbs=verbs, group=group, resources=resources)


_MEDIUM = Severity.MEDIUM
RIGHTS: tuple[RightControl, ...] = (
    _control("5.1.2", "Few may read Secrets", _READ, "", "secrets"),
    _control("5.1.4", "Few may create pods", ("create",), "", "pods", severity=_MEDIUM),
    _control(
        "5.1.9", "Few may create volumes", ("create",), "", "persistentvolumes", severity=_MEDIUM
    ),
    _control("5.1.10", "Few may speak to kubelets", ("get", "create"), "", "nodes/proxy"),
    _control(
        "5.1.11",
        "Few may approve certificates",
        ("update", "patch"),
        "certificates.k8s.io",
        "certificatesigningrequests/approval",
    ),
    _control(
        "5.1.12",
        "Few may set admission webhooks",
        _WRITE,
        _ADMISSION,
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
    ),
    _control("5.1.13", "Few may make tokens", ("create",), "", "serviceaccounts/token"),
)
_ADMIN = Control(
    id="5.1.1",
    title="cluster-admin is bound where it must be alone",
    severity=Severity.HIGH,
    remedy="bind a narrower role",
)
_WILDCARDS = Control(
    id="5.1.3", title="Roles name what they allow", remedy="name verbs and resources instead of *"
)
_DEFAULT = Control(
    id="5.1.5",
    title="Default ServiceAccounts are granted nothing",
    remedy="give the workload a ServiceAccount of its own",
)
_MOUNTED = Control(
    id="5.1.6",
    title="Tokens are mounted where they are needed alone",
    severity=Severity.LOW,
    remedy="set automountServiceAccountToken: false where no API is spoken to",
)
_MASTERS = Control(
    id="5.1.7",
    title="Nobody is bound by the group system:masters",
    severity=Severity.HIGH,
    remedy="bind cluster-admin to a group that can be taken away",
)
_ESCALATION = Control(
    id="5.1.8",
    title="Few may bind, escalate or impersonate",
    severity=Severity.HIGH,
    remedy="take the verbs out of the role",
)


def right_findings(policy: Policy) -> Iterator[Answer]:
    """The answers of group 5.1; what the system binds itself does not count."""
    why_not = "; ".join(policy.lacks(kind) for kind in _RBAC_KINDS if policy.lacks(kind))
    grants = [grant for grant in Rbac(policy.roles, policy.bindings).grants if _counts(grant)]
    yield _ADMIN.judged(_admins(grants), why_not)
    yield _WILDCARDS.judged(_wildcards(policy.roles), why_not)
    yield _DEFAULT.judged(_default_grants(grants), why_not)
    yield _MOUNTED.judged(_mounted(policy), policy.lacks("Pod") or policy.lacks("ServiceAccount"))
    yield _MASTERS.judged(_masters(grants), why_not)
    yield _ESCALATION.judged(_escalating(grants), why_not)
    for each in RIGHTS:
        yield each.control.judged(_holders(grants, each), why_not)


_RBAC_KINDS = ("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding")


def _counts(grant: Grant) -> bool:
    return _BOOTSTRAP not in grant.binding.metadata.labels and bool(grant.binding.subjects)


def _admins(grants: Iterable[Grant]) -> Iterator[str]:
    for grant in grants:
        if grant.binding.role_ref.name == "cluster-admin":
            yield _told(grant)


def _wildcards(roles: Iterable[Role]) -> Iterator[str]:
    for role in roles:
        if _BOOTSTRAP not in role.metadata.labels and any(
            ANY in (*rule.verbs, *rule.api_groups, *rule.resources, *rule.non_resource_urls)
            for rule in role.rules or ()
        ):
            yield f"{role.kind.lower()}/{role.key}"


def _default_grants(grants: Iterable[Grant]) -> Iterator[str]:
    for grant in grants:
        for subject in grant.binding.subjects or ():
            if subject.kind == "ServiceAccount" and subject.name == "default":
                yield _told(grant)


def _mounted(policy: Policy) -> Iterator[str]:
    """Pods that mount a token of the default ServiceAccount, which is granted nothing."""
    off = {
        account.key
        for account in policy.of_kind("ServiceAccount")
        if account.automount_service_account_token is False
    }
    for pod in policy.pods:
        account = str(pod.spec.get("serviceAccountName") or "default")
        wants = pod.spec.get("automountServiceAccountToken")
        if account == "default" and wants is not False and f"{pod.namespace}/default" not in off:
            yield f"pod/{pod.key}"


def _masters(grants: Iterable[Grant]) -> Iterator[str]:
    for grant in grants:
        for subject in grant.binding.subjects or ():
            if subject.kind == "Group" and subject.name == MASTERS:
                yield grant.binding.label


def _escalating(grants: Iterable[Grant]) -> Iterator[str]:
    asked = (
        *(("bind", _RBAC, each) for each in ("roles", "clusterroles")),
        *(("escalate", _RBAC, each) for each in ("roles", "clusterroles")),
        *(("impersonate", "", each) for each in ("users", "groups", "serviceaccounts")),
    )
    for grant in grants:
        if any(_held(grant, *each) for each in asked):
            yield _told(grant)


def _holders(grants: Iterable[Grant], wanted: RightControl) -> Iterator[str]:
    for grant in grants:
        if any(
            _held(grant, verb, wanted.group, resource)
            for verb in wanted.verbs
            for resource in wanted.resources
        ):
            yield _told(grant)


def _held(grant: Grant, verb: str, group: str, resource: str) -> Held | None:
    return Powers((grant,)).holds(verb, group, resource, grant.namespace or EVERYWHERE)


def _told(grant: Grant) -> str:
    subjects = ", ".join(
        f"{each.kind} {each.namespace + '/' if each.namespace else ''}{each.name}"
        for each in grant.binding.subjects or ()
    )
    return f"{grant.binding.label} ({subjects})"


def outside_system(objects: Iterable[LooseObject]) -> Iterator[LooseObject]:
    """Objects that are not the system's own."""
    return (each for each in objects if each.namespace != _SYSTEM and each.name != _SYSTEM)
