"""A webhook that stands in the way of an upgrade."""

import yaml

from tests.operator.harbour import Harbour


async def add_webhook(harbour: Harbour, name: str, namespace: str, service: str) -> None:
    """One that fails closed for the pods of kube-system, behind a Service that nobody answers."""
    manifest = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": "pods.strict.example.com",
                "clientConfig": {"service": {"namespace": namespace, "name": service}},
                "rules": [
                    {
                        "operations": ["CREATE"],
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "resources": ["pods"],
                    }
                ],
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": "kube-system"}
                },
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }
    await harbour.kubectl("create", "-f", "-", given=yaml.safe_dump(manifest))
