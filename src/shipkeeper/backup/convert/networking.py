"""Ingresses and their classes, network policies, service address ranges."""

from typing import Any

from shipkeeper.backup.convert.step import Step, Steps, renamed
from shipkeeper.backup.manifest import Manifest, part, parts

_GROUP = "networking.k8s.io"


def _ingress(manifest: Manifest) -> None:
    # Source: pkg/apis/networking/v1beta1/conversion.go.
    spec = manifest.setdefault("spec", {})
    if (backend := spec.pop("backend", None)) is not None:
        spec["defaultBackend"] = _backend(backend)
    for rule in parts(spec, "rules"):
        for path in parts(rule, "http", "paths"):
            path["backend"] = _backend(path["backend"])
            path.setdefault("pathType", "ImplementationSpecific")
    # In v1 the status is of another shape, and it is never restored.
    manifest.pop("status", None)


def _backend(old: dict[str, Any]) -> dict[str, Any]:
    if "serviceName" not in old:
        return {key: value for key, value in old.items() if key == "resource"}
    port = old.get("servicePort")
    number = {"number": port} if isinstance(port, int) else {"name": port}
    return {"service": {"name": old["serviceName"], "port": number}}


def _class(manifest: Manifest) -> None:
    if parameters := part(manifest, "spec").get("parameters"):
        parameters.setdefault("scope", "Cluster")


NETWORKING: Steps = {
    ("extensions/v1beta1", "Ingress"): Step(f"{_GROUP}/v1", _ingress),
    (f"{_GROUP}/v1beta1", "Ingress"): Step(f"{_GROUP}/v1", _ingress),
    (f"{_GROUP}/v1beta1", "IngressClass"): Step(f"{_GROUP}/v1", _class),
    ("extensions/v1beta1", "NetworkPolicy"): Step(f"{_GROUP}/v1"),
    **renamed(_GROUP, ("v1alpha1", "v1beta1"), "v1", "IPAddress", "ServiceCIDR"),
}
