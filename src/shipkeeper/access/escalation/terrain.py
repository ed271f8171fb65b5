"""What is in a cluster to be gained: namespaces, ServiceAccounts, pods, tokens, nodes. Pure."""

import re
from typing import Any

import msgspec

from shipkeeper.access.attributes import (
    AUTHENTICATED,
    SERVICE_ACCOUNTS,
    User,
    service_account_name,
    split_service_account,
)
from shipkeeper.access.chain import Chain
from shipkeeper.access.escalation.identities import Identities
from shipkeeper.access.policy import Policy
from shipkeeper.access.rbac import subject_name
from shipkeeper.access.references import containers, many, one, secrets
from shipkeeper.access.who_can import known_nodes
from shipkeeper.model.loose import LooseObject
from shipkeeper.model.pod import MIRROR_ANNOTATION

KUBE_SYSTEM = "kube-system"
_ENFORCE = "pod-security.kubernetes.io/enforce"
# First minor that enforces Pod Security by labels.
_POD_SECURITY = 23
_CONTROL_PLANE = (
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/master",
)
_TOKEN_TYPE = "kubernetes.io/service-account-token"  # noqa: S105
_TOKEN_OF = "kubernetes.io/service-account.name"  # noqa: S105
# What Kubernetes' tools call a token's Secret where the type could not be read.
_TOKEN_NAME = re.compile(r"^(?P<account>.+)-token-[a-z0-9]{5}$")


class Aboard(msgspec.Struct, frozen=True):
    """A pod that runs: its namespace, as whom it runs, and whether it is as good as its node."""

    namespace: str
    account: str
    is_privileged: bool


class Terrain:
    """The cluster as an attacker would look at it."""

    def __init__(self, chain: Chain) -> None:
        policy = chain.policy
        self.policy = policy
        self.identities = Identities(chain)
        self.minor = policy.version.minor
        self.nodes = known_nodes(policy)
        self.accounts = _accounts(policy)
        self.ghosts = _ghosts(policy)
        self.heeds_rbac = "RBAC" in policy.chain.types
        """Whether roles and bindings decide anything in this cluster."""
        self.aggregated = {
            role.name
            for role in policy.roles
            if role.aggregation_rule and role.aggregation_rule.cluster_role_selectors
        }
        """The ClusterRoles to which others are added by their labels."""
        self.namespaces = sorted(
            {each.name for each in policy.of_kind("Namespace")}
            | set(self.accounts)
            | {pod.namespace for pod in policy.pods}
            | {binding.namespace for binding in policy.bindings if binding.namespace}
        )
        self._levels = {
            each.name: each.metadata.labels.get(_ENFORCE, "privileged")
            for each in policy.of_kind("Namespace")
        }
        self.running: dict[str, set[str]] = {}
        self.crews: dict[str, set[str]] = {}
        """By node, the ServiceAccounts of its pods."""
        self.tokens_aboard: dict[str, dict[tuple[str, str], str]] = {}
        """By node, its pods' Secrets with a token (namespace and name), and whose it is."""
        self.privileged: set[str] = set()
        self._pods_named: dict[str, list[Aboard]] = {}
        tokens = _token_secrets(policy)
        for pod in policy.pods:
            node = str(pod.spec.get("nodeName") or "")
            account = str(pod.spec.get("serviceAccountName") or "default")
            name = service_account_name(pod.namespace, account)
            if node:
                self.running.setdefault(pod.namespace, set()).add(name)
                aboard = Aboard(pod.namespace, name, _is_privileged(pod))
                self._pods_named.setdefault(pod.name, []).append(aboard)
            # A mirror pod leads its node to nothing (see node_graph).
            if node and MIRROR_ANNOTATION not in pod.metadata.annotations:
                self.crews.setdefault(node, set()).add(name)
                for secret in secrets(pod.spec):
                    if (pod.namespace, secret) in tokens:
                        found = self.tokens_aboard.setdefault(node, {})
                        found[pod.namespace, secret] = tokens[pod.namespace, secret]
            if _is_privileged(pod):
                self.privileged.add(pod.namespace)
        self.token_accounts: dict[str, set[str]] = {}
        """By namespace, the ServiceAccounts that have a token in a Secret."""
        self._tokens_named: dict[str, list[tuple[str, str]]] = {}
        for (namespace, name), account in tokens.items():
            self.token_accounts.setdefault(namespace, set()).add(account)
            self._tokens_named.setdefault(name, []).append((namespace, account))
        self._nodes: dict[str, set[str]] = {}
        for node, accounts in self.crews.items():
            for account in accounts:
                self._nodes.setdefault(account, set()).add(node)

    def nodes_of(self, user: User) -> set[str]:
        """The nodes on which pods of somebody run: of a ServiceAccount, or of a group of them."""
        if user.name:
            return self._nodes.get(user.name, set())
        if {SERVICE_ACCOUNTS, AUTHENTICATED}.intersection(user.groups):
            return set(self.crews)
        prefix = f"{SERVICE_ACCOUNTS}:"
        spaces = {each.removeprefix(prefix) for each in user.groups if each.startswith(prefix)}
        accounts = (account for space in spaces for account in self.running.get(space, ()))
        return {node for account in accounts for node in self._nodes.get(account, ())}

    def token_accounts_of(self, secret: str, place: str) -> set[str]:
        """The ServiceAccounts whose tokens are in Secrets of a name, in a namespace or all."""
        found = self._tokens_named.get(secret, ())
        return {account for namespace, account in found if place in ("", namespace)}

    def pods_named(self, name: str, place: str) -> list[Aboard]:
        """The pods of a name that run, in a namespace or all."""
        return [pod for pod in self._pods_named.get(name, ()) if place in ("", pod.namespace)]

    @property
    def lacks_pods(self) -> bool:
        """Whether it is not known which pods there are."""
        return not self.policy.pods or bool(self.policy.lacks("Pod"))

    def lets_privileged_run(self, namespace: str) -> bool:
        """Whether Pod Security lets privileged pods into a namespace."""
        if self.minor < _POD_SECURITY:
            return True
        return self._levels.get(namespace, "privileged") == "privileged"

    @property
    def has_control_plane(self) -> bool:
        """Whether the control plane runs on nodes of the cluster, as far as it is visible."""
        nodes = self.policy.of_kind("Node")
        if any(label in node.metadata.labels for node in nodes for label in _CONTROL_PLANE):
            return True
        return any(
            pod.namespace == KUBE_SYSTEM and pod.metadata.labels.get("tier") == "control-plane"
            for pod in self.policy.pods
        )

    @property
    def is_aws(self) -> bool:
        """Whether nodes are of a cloud that maps its identities by a ConfigMap."""
        nodes = self.policy.of_kind("Node")
        return any(str(node.spec.get("providerID", "")).startswith("aws:") for node in nodes)


def _accounts(policy: Policy) -> dict[str, set[str]]:
    """User names of ServiceAccounts by namespace: those that exist, else those that are known."""
    found: dict[str, set[str]] = {}
    for account in policy.of_kind("ServiceAccount"):
        name = service_account_name(account.namespace, account.name)
        found.setdefault(account.namespace, set()).add(name)
    if found and not policy.lacks("ServiceAccount"):
        return found
    for binding in policy.bindings:
        for subject in binding.subjects or ():
            named = subject_name(subject, binding.namespace)
            account = split_service_account(named[1]) if named else None
            if named and account:
                found.setdefault(account[0], set()).add(named[1])
    for pod in policy.pods:
        account = str(pod.spec.get("serviceAccountName") or "default")
        name = service_account_name(pod.namespace, account)
        found.setdefault(pod.namespace, set()).add(name)
    return found


def _ghosts(policy: Policy) -> dict[str, set[str]]:
    """By namespace, the ServiceAccounts that bindings name and that are not there."""
    existing = {account.key for account in policy.of_kind("ServiceAccount")}
    found: dict[str, set[str]] = {}
    if policy.lacks("ServiceAccount") or not existing:
        return found
    for binding in policy.bindings:
        for subject in binding.subjects or ():
            named = subject_name(subject, binding.namespace)
            account = split_service_account(named[1]) if named else None
            if named and account and "/".join(account) not in existing:
                found.setdefault(account[0], set()).add(named[1])
    return found


def _token_secrets(policy: Policy) -> dict[tuple[str, str], str]:
    """By namespace and name, the Secrets with a token, and the ServiceAccounts that it is of."""
    found: dict[tuple[str, str], str] = {}
    for secret in policy.of_kind("Secret"):
        account = secret.metadata.annotations.get(_TOKEN_OF, "")
        guess = _TOKEN_NAME.match(secret.name)
        name = account or (guess["account"] if guess else "")
        if name and secret.type in ("", _TOKEN_TYPE):
            found[secret.namespace, secret.name] = service_account_name(secret.namespace, name)
    return found


def _is_privileged(pod: LooseObject) -> bool:
    """Whether whoever is in the pod is as good as on its node."""
    spec: dict[str, Any] = pod.spec
    if spec.get("hostPID") or any("hostPath" in volume for volume in many(spec, "volumes")):
        return True
    return any(one(each, "securityContext").get("privileged") for each in containers(spec))
