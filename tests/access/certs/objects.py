"""The objects that seeds are made of."""

import base64
from collections.abc import Iterable, Sequence
from typing import Any

from tests.access.certs.authority import Pair

Json = dict[str, Any]
NAMESPACE = "certs-seeds"
_PLURALS = {
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
    "CustomResourceDefinition": "customresourcedefinitions",
    "APIService": "apiservices",
    "CertificateSigningRequest": "certificatesigningrequests",
    "Service": "services",
    "Secret": "secrets",
    "Ingress": "ingresses",
    "Node": "nodes",
}


def path_of(manifest: Json) -> str:
    """The collection of an object."""
    version = manifest["apiVersion"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    namespace = manifest["metadata"].get("namespace")
    place = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{place}/{_PLURALS[manifest['kind']]}"


def configuration(name: str, hooks: Iterable[tuple[str, str, bytes]]) -> Json:
    """Webhooks (name, URL, bundle) that match nothing."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": f"{hook}.example.com",
                "clientConfig": {"url": url, "caBundle": _base64(bundle)}
                if bundle
                else {"url": url},
                "failurePolicy": "Ignore",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "rules": [
                    {
                        "apiGroups": ["nothing.example.com"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["nothings"],
                    }
                ],
            }
            for hook, url, bundle in hooks
        ],
    }


def external_service(name: str) -> Json:
    """A Service that leads to loopback by name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    }


def definition(plural: str, service: str, port: int, bundle: bytes) -> Json:
    """A custom resource with a converter."""
    config = {
        "service": {"namespace": NAMESPACE, "name": service, "port": port},
        "caBundle": _base64(bundle),
    }
    schema = {"openAPIV3Schema": {"type": "object"}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.seeds.example.com"},
        "spec": {
            "group": "seeds.example.com",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": plural.capitalize()},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
            "conversion": {
                "strategy": "Webhook",
                "webhook": {"clientConfig": config, "conversionReviewVersions": ["v1"]},
            },
        },
    }


def api_service(name: str, port: int, bundle: bytes) -> Json:
    """An aggregated API; without a bundle its certificate is not looked at."""
    trust = {"caBundle": _base64(bundle)} if bundle else {"insecureSkipTLSVerify": True}
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"v1.{name}.example.com"},
        "spec": {
            "group": f"{name}.example.com",
            "version": "v1",
            "groupPriorityMinimum": 1000,
            "versionPriority": 15,
            "service": {"namespace": NAMESPACE, "name": name, "port": port},
            **trust,
        },
    }


def secret(name: str, pair: Pair, kind: str = "kubernetes.io/tls") -> Json:
    """A Secret with a certificate."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "data": {"tls.crt": _base64(pair.certificate), "tls.key": _base64(pair.key)},
    }


def ingress(name: str, secret_name: str, hosts: Sequence[str]) -> Json:
    """An Ingress; without a Secret it has the controller's own certificate."""
    named = {"secretName": secret_name} if secret_name else {}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "tls": [{"hosts": list(hosts), **named}],
            "defaultBackend": {"service": {"name": "web", "port": {"number": 80}}},
        },
    }


def node(name: str, address: str) -> Json:
    """A Node with an address."""
    addresses = [
        {"type": "InternalIP", "address": address},
        {"type": "Hostname", "address": name},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "status": {"addresses": addresses},
    }


def certificate_request(
    name: str,
    pem: bytes,
    signer: str = "kubernetes.io/kubelet-serving",
    usage: str = "server auth",
) -> Json:
    """A CertificateSigningRequest."""
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": f"certs-{name}"},
        "spec": {
            "signerName": signer,
            "request": _base64(pem),
            "usages": ["digital signature", "key encipherment", usage],
        },
    }


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
