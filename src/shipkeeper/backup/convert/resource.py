"""Dynamic resource allocation before v1."""

from typing import Any

from shipkeeper.backup.convert.step import Step, Steps, renamed
from shipkeeper.backup.manifest import Manifest, parts

_GROUP = "resource.k8s.io"
_OF_REQUEST = frozenset({"name", "firstAvailable"})


def _claim(manifest: Manifest) -> None:
    _requests(manifest["spec"])
    manifest.pop("status", None)


def _template(manifest: Manifest) -> None:
    _requests(manifest["spec"]["spec"])


def _requests(spec: dict[str, Any]) -> None:
    """What a request wants stands under `exactly` from v1beta2 on."""
    for request in parts(spec, "devices", "requests"):
        wanted = {key: value for key, value in request.items() if key not in _OF_REQUEST}
        if wanted:
            for key in wanted:
                del request[key]
            request["exactly"] = wanted


RESOURCE: Steps = {
    **{
        (f"{_GROUP}/{version}", kind): Step(f"{_GROUP}/v1beta2", change)
        for version in ("v1alpha3", "v1beta1")
        for kind, change in (("ResourceClaim", _claim), ("ResourceClaimTemplate", _template))
    },
    **renamed(_GROUP, ("v1beta2",), "v1", "ResourceClaim", "ResourceClaimTemplate"),
    **renamed(_GROUP, ("v1alpha3", "v1beta1", "v1beta2"), "v1", "DeviceClass"),
    **renamed(_GROUP, ("v1alpha3", "v1beta2"), "v1", "DeviceTaintRule"),
}
