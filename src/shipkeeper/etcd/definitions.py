"""CustomResourceDefinitions as apiextensions.k8s.io/v1 shows them. Pure.

API servers store them as v1beta1 to this day. Source: kubernetes/apiextensions-apiserver,
pkg/apis/apiextensions/v1/conversion.go.
"""

from collections.abc import Callable
from typing import Any, Final

_OLD: Final = "apiextensions.k8s.io/v1beta1"
_NEW: Final = "apiextensions.k8s.io/v1"
V1BETA1_ENDED: Final = 22
"""The minor version from which on only v1 is served."""


def as_served(manifest: dict[str, Any], minor: Callable[[], int]) -> dict[str, Any]:
    """A definition in the version that its API server serves; anything else as it is.

    The server's minor version is asked for if it matters.
    """
    if manifest.get("apiVersion") != _OLD or minor() < V1BETA1_ENDED:
        return manifest
    spec = dict(manifest["spec"])
    spec.pop("version", None)
    shared = {
        name: value
        for name, value in (
            ("schema", spec.pop("validation", None)),
            ("subresources", spec.pop("subresources", None)),
            ("additionalPrinterColumns", spec.pop("additionalPrinterColumns", None)),
            ("selectableFields", spec.pop("selectableFields", None)),
        )
        if value is not None
    }
    spec["versions"] = [_version({**shared, **each}) for each in spec.get("versions", ())]
    if not spec.get("preserveUnknownFields"):
        spec.pop("preserveUnknownFields", None)
    if "conversion" in spec:
        spec["conversion"] = _conversion(spec["conversion"])
    return {**manifest, "apiVersion": _NEW, "spec": spec}


def _version(version: dict[str, Any]) -> dict[str, Any]:
    columns = version.get("additionalPrinterColumns")
    if columns:
        version["additionalPrinterColumns"] = [
            {("jsonPath" if name == "JSONPath" else name): value for name, value in each.items()}
            for each in columns
        ]
    return version


def _conversion(conversion: dict[str, Any]) -> dict[str, Any]:
    shown = {"strategy": conversion.get("strategy")}
    client = conversion.get("webhookClientConfig")
    versions = conversion.get("conversionReviewVersions")
    if client is not None or versions:
        webhook = {"clientConfig": client} if client is not None else {}
        shown["webhook"] = {**webhook, "conversionReviewVersions": versions}
    return shown
