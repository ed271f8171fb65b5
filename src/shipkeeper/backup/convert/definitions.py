"""CustomResourceDefinitions before v1."""

from typing import Any

from shipkeeper.backup.convert.step import Step, Steps
from shipkeeper.backup.manifest import Manifest

# What v1beta1 said once for all versions, and v1 says for each.
_OF_ALL = ("validation", "subresources", "additionalPrinterColumns")


def _definition(manifest: Manifest) -> None:
    # Source: apiextensions-apiserver/pkg/apis/apiextensions/v1beta1/conversion.go.
    spec = manifest["spec"]
    common = {key: spec.pop(key) for key in _OF_ALL if key in spec}
    single = spec.pop("version", None)
    if not spec.get("versions"):
        spec["versions"] = [{"name": single, "served": True, "storage": True}]
    for version in spec["versions"]:
        _version(version, common)
    spec.setdefault("scope", "Namespaced")
    spec.setdefault("preserveUnknownFields", True)
    if conversion := spec.get("conversion"):
        spec["conversion"] = _conversion(conversion)


def _version(version: dict[str, Any], common: dict[str, Any]) -> None:
    if validation := version.pop("validation", None) or common.get("validation"):
        version.setdefault("schema", validation)
    if subresources := common.get("subresources"):
        version.setdefault("subresources", subresources)
    columns = version.get("additionalPrinterColumns") or common.get("additionalPrinterColumns")
    if columns:
        version["additionalPrinterColumns"] = [_column(each) for each in columns]


def _column(column: dict[str, Any]) -> dict[str, Any]:
    return {"jsonPath" if key == "JSONPath" else key: value for key, value in column.items()}


def _conversion(old: dict[str, Any]) -> dict[str, Any]:
    if old.get("strategy") != "Webhook":
        return {"strategy": old.get("strategy", "None")}
    webhook = {
        "clientConfig": old["webhookClientConfig"],
        "conversionReviewVersions": old.get("conversionReviewVersions") or ["v1beta1"],
    }
    return {"strategy": "Webhook", "webhook": webhook}


_GROUP = "apiextensions.k8s.io"

DEFINITIONS: Steps = {
    (f"{_GROUP}/v1beta1", "CustomResourceDefinition"): Step(f"{_GROUP}/v1", _definition)
}
