"""API priority and fairness before v1."""

from shipkeeper.backup.convert.step import Step, Steps, renamed
from shipkeeper.backup.manifest import Manifest, part

_GROUP = "flowcontrol.apiserver.k8s.io"
_LEVEL = "PriorityLevelConfiguration"
_SHARES = "nominalConcurrencyShares"
# Source: pkg/apis/flowcontrol/v1beta3/defaults.go, and the annotation that keeps a zero a zero.
_DEFAULT_SHARES = 30
_KEEPS_ZERO = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares"


def _rename_shares(manifest: Manifest) -> None:
    limited = part(manifest, "spec").get("limited")
    if limited and "assuredConcurrencyShares" in limited:
        limited[_SHARES] = limited.pop("assuredConcurrencyShares")


def _zero_shares(manifest: Manifest) -> None:
    """Before v1 a zero stood for the default; in v1 it means that nothing is let through."""
    annotations = part(manifest["metadata"], "annotations")
    keeps_zero = _KEEPS_ZERO in annotations
    annotations.pop(_KEEPS_ZERO, None)
    limited = part(manifest, "spec").get("limited")
    if limited and not limited.get(_SHARES) and not keeps_zero:
        limited[_SHARES] = _DEFAULT_SHARES


FLOWCONTROL: Steps = {
    **renamed(_GROUP, ("v1alpha1", "v1beta1", "v1beta2", "v1beta3"), "v1", "FlowSchema"),
    **{
        (f"{_GROUP}/{version}", _LEVEL): Step(f"{_GROUP}/v1beta3", _rename_shares)
        for version in ("v1alpha1", "v1beta1", "v1beta2")
    },
    (f"{_GROUP}/v1beta3", _LEVEL): Step(f"{_GROUP}/v1", _zero_shares),
}
