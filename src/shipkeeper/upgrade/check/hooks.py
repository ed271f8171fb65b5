"""Which webhooks are called for what the control plane needs; pure."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from shipkeeper.model.base import KubeStruct
from shipkeeper.model.meta import KubeObject
from shipkeeper.model.selector import LabelSelector
from shipkeeper.upgrade.check.evidence import Hook

# What namespaces are labelled with by themselves, since 1.21.
_NAME_LABEL = "kubernetes.io/metadata.name"
_SYSTEM = "kube-system"


class ServiceReference(KubeStruct, frozen=True, kw_only=True):
    """The Service that answers for a webhook."""

    namespace: str = ""
    name: str = ""


class ClientConfig(KubeStruct, frozen=True, kw_only=True):
    """Who is called: a Service of the cluster or a URL."""

    service: ServiceReference | None = None
    url: str = ""


class HookRule(KubeStruct, frozen=True, kw_only=True):
    """What a webhook is called for."""

    operations: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    api_versions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()

    def covers(self, group: str, version: str, resource: str, *operations: str) -> bool:
        """Whether a request for a resource comes to the webhook."""
        return (
            not {"*", *operations}.isdisjoint(self.operations)
            and not {"*", group}.isdisjoint(self.api_groups)
            and not {"*", version}.isdisjoint(self.api_versions)
            and not {"*", "*/*", resource, f"{resource}/*"}.isdisjoint(self.resources)
        )


class WebhookItem(KubeStruct, frozen=True, kw_only=True):
    """One webhook of a configuration."""

    name: str = ""
    failure_policy: str = "Fail"
    client_config: ClientConfig = ClientConfig()
    rules: tuple[HookRule, ...] | None = ()
    namespace_selector: LabelSelector | None = None
    object_selector: LabelSelector | None = None
    match_conditions: tuple[dict[str, Any], ...] | None = ()


class WebhookConfiguration(KubeObject, frozen=True, kw_only=True):
    """A validating or mutating webhook configuration."""

    webhooks: tuple[WebhookItem, ...] | None = ()


class Backend(msgspec.Struct, frozen=True):
    """What is known of a Service: whether it exists, and how many addresses answer for it."""

    exists: bool
    addresses: int


def services_of(configurations: Iterable[WebhookConfiguration]) -> set[tuple[str, str]]:
    """The Services that webhooks which fail closed are behind, by namespace and name."""
    return {
        (service.namespace, service.name)
        for each in configurations
        for item in each.webhooks or ()
        if (service := item.client_config.service) is not None
    }


def judge_hooks(
    configurations: Iterable[WebhookConfiguration],
    kind: str,
    backends: dict[tuple[str, str], Backend],
    system_labels: dict[str, str],
) -> Iterator[Hook]:
    """The webhooks that fail closed; system_labels are those of the namespace kube-system."""
    for each in configurations:
        for item in each.webhooks or ():
            if item.failure_policy == "Fail":
                yield _hook(item, f"{kind} {each.name}", backends, system_labels)


def _hook(
    item: WebhookItem,
    target: str,
    backends: dict[tuple[str, str], Backend],
    system_labels: dict[str, str],
) -> Hook:
    service = item.client_config.service
    backend = backends.get((service.namespace, service.name)) if service else None
    labels = {_NAME_LABEL: _SYSTEM, **system_labels}
    # Conditions and object selectors are taken as meant to leave out what they can leave out.
    is_narrow = _is_narrow(item.object_selector) or bool(item.match_conditions)
    sees_system = item.namespace_selector is None or item.namespace_selector.matches(labels)
    rules = item.rules or ()
    return Hook(
        target=target,
        name=item.name,
        catches_system=sees_system
        and not is_narrow
        and any(rule.covers("", "v1", "pods", "CREATE") for rule in rules),
        catches_nodes=not is_narrow
        and any(
            rule.covers("", "v1", "nodes", "CREATE", "UPDATE")
            or (
                sees_system
                and rule.covers("coordination.k8s.io", "v1", "leases", "CREATE", "UPDATE")
            )
            for rule in rules
        ),
        down=_why_down(service, backend),
        backend_pods=backend.addresses if backend else None,
    )


def _is_narrow(selector: LabelSelector | None) -> bool:
    return selector is not None and bool(selector.match_labels or selector.match_expressions)


def _why_down(service: ServiceReference | None, backend: Backend | None) -> str:
    if service is None or backend is None:
        return ""
    name = f"its Service {service.namespace}/{service.name}"
    if not backend.exists:
        return f"{name} does not exist"
    return "" if backend.addresses else f"nothing answers for {name}"
