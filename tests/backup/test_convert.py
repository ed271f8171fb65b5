"""Objects of API versions that are gone become what a newer server serves."""

import copy
from typing import Any

import pytest

from shipkeeper.backup.convert.chain import STEPS, convert, modern, modern_kind
from shipkeeper.backup.convert.others import GONE
from shipkeeper.backup.convert.step import UnconvertibleError
from shipkeeper.backup.kinds import Kind, Served


def served(*kinds: str) -> Served:
    """What serves `group/version Kind`."""
    found: list[Kind] = []
    for each in kinds:
        api_version, kind = each.split()
        group, _, version = api_version.rpartition("/")
        found.append(
            Kind(
                group=group, version=version, plural=f"{kind.lower()}s", kind=kind, namespaced=True
            )
        )
    return Served(found)


def converted(api_version: str, kind: str, target: str, **fields: Any) -> dict[str, Any]:
    given = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, **fields}
    before = copy.deepcopy(given)
    found = convert(given, served(f"{target} {kind}")).manifest
    assert given == before
    assert found["apiVersion"] == target
    return found


@pytest.mark.parametrize("old", ["extensions/v1beta1", "networking.k8s.io/v1beta1"])
def test_ingress(old: str) -> None:
    backend = {"serviceName": "web", "servicePort": 80}
    named = {"serviceName": "web", "servicePort": "http"}
    paths = [{"path": "/", "backend": named}, {"backend": backend, "pathType": "Prefix"}]
    spec = {"backend": backend, "rules": [{"host": "h", "http": {"paths": paths}}]}
    found = converted(old, "Ingress", "networking.k8s.io/v1", spec=spec)["spec"]
    assert found["defaultBackend"] == {"service": {"name": "web", "port": {"number": 80}}}
    first, second = found["rules"][0]["http"]["paths"]
    assert first["backend"] == {"service": {"name": "web", "port": {"name": "http"}}}
    assert first["pathType"] == "ImplementationSpecific"
    assert second["pathType"] == "Prefix"


@pytest.mark.parametrize("selector", [{}, {"matchLabels": {}}])
def test_a_budget_for_no_pod_does_not_become_one_for_all(selector: dict[str, Any]) -> None:
    spec = {"minAvailable": 1, "selector": selector}
    found = converted("policy/v1beta1", "PodDisruptionBudget", "policy/v1", spec=spec)
    (requirement,) = found["spec"]["selector"]["matchExpressions"]
    assert requirement["operator"] == "Exists"


def test_a_budget_with_labels_keeps_them() -> None:
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "x"}}}
    found = converted("policy/v1beta1", "PodDisruptionBudget", "policy/v1", spec=spec)
    assert found["spec"] == spec


def test_autoscaler() -> None:
    metrics = [
        {"type": "Resource", "resource": {"name": "cpu", "targetAverageUtilization": 80}},
        {"type": "Pods", "pods": {"metricName": "qps", "targetAverageValue": "5"}},
        {
            "type": "Object",
            "object": {"target": {"kind": "X", "name": "y"}, "metricName": "m", "targetValue": "3"},
        },
        {
            "type": "External",
            "external": {"metricName": "e", "metricSelector": {"a": 1}, "targetAverageValue": "2"},
        },
    ]
    found = converted(
        "autoscaling/v2beta1",
        "HorizontalPodAutoscaler",
        "autoscaling/v2",
        spec={"metrics": metrics},
    )
    resource, pods, object_, external = found["spec"]["metrics"]
    assert resource["resource"] == {
        "name": "cpu",
        "target": {"type": "Utilization", "averageUtilization": 80},
    }
    assert pods["pods"] == {
        "metric": {"name": "qps"},
        "target": {"type": "AverageValue", "averageValue": "5"},
    }
    assert object_["object"] == {
        "describedObject": {"kind": "X", "name": "y"},
        "metric": {"name": "m"},
        "target": {"type": "Value", "value": "3"},
    }
    assert external["external"] == {
        "metric": {"name": "e", "selector": {"a": 1}},
        "target": {"type": "AverageValue", "averageValue": "2"},
    }


def test_definition() -> None:
    schema = {"openAPIV3Schema": {"type": "object"}}
    spec: dict[str, Any] = {
        "group": "example.com",
        "version": "v1",
        "names": {"plural": "widgets", "kind": "Widget"},
        "validation": schema,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [{"name": "A", "type": "string", "JSONPath": ".spec.a"}],
        "conversion": {"strategy": "Webhook", "webhookClientConfig": {"url": "https://x"}},
        "preserveUnknownFields": False,
    }
    found = converted(
        "apiextensions.k8s.io/v1beta1",
        "CustomResourceDefinition",
        "apiextensions.k8s.io/v1",
        spec=spec,
    )["spec"]
    assert found["versions"] == [
        {
            "name": "v1",
            "served": True,
            "storage": True,
            "schema": schema,
            "subresources": {"status": {}},
            "additionalPrinterColumns": [{"name": "A", "type": "string", "jsonPath": ".spec.a"}],
        }
    ]
    assert found["conversion"]["webhook"]["clientConfig"] == {"url": "https://x"}
    assert not {"version", "validation", "subresources", "additionalPrinterColumns"} & {*found}


def test_priority_levels_rename_their_shares_and_keep_what_zero_meant() -> None:
    limited = {"assuredConcurrencyShares": 0}
    found = converted(
        "flowcontrol.apiserver.k8s.io/v1beta1",
        "PriorityLevelConfiguration",
        "flowcontrol.apiserver.k8s.io/v1",
        spec={"type": "Limited", "limited": limited},
    )
    assert found["spec"]["limited"] == {"nominalConcurrencyShares": 30}


def test_a_webhook_with_side_effects_that_v1_refuses_is_told() -> None:
    with pytest.raises(UnconvertibleError, match="sideEffects Unknown"):
        converted(
            "admissionregistration.k8s.io/v1beta1",
            "ValidatingWebhookConfiguration",
            "admissionregistration.k8s.io/v1",
            webhooks=[{"name": "w", "sideEffects": "Unknown"}],
        )


def test_a_version_that_is_served_stays() -> None:
    given = {"apiVersion": "batch/v1beta1", "kind": "CronJob", "metadata": {"name": "a"}}
    both = served("batch/v1 CronJob", "batch/v1beta1 CronJob")
    assert convert(given, both).manifest is given


def test_what_ended_says_so() -> None:
    for api_version, kind in GONE:
        given = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}}
        with pytest.raises(UnconvertibleError, match="was removed"):
            convert(given, served("v1 ConfigMap"))


def test_every_chain_of_steps_ends() -> None:
    for api_version, kind in STEPS:
        group, _ = modern_kind(api_version, kind)
        assert group in {step.api_version.rpartition("/")[0] for step in STEPS.values()}


def test_modern_of_the_newest_is_itself() -> None:
    given = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
    assert modern(given) is given
