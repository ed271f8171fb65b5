"""Workloads of the groups extensions and apps before v1, and CronJobs."""

from shipkeeper.backup.convert.step import Step, Steps, renamed
from shipkeeper.backup.manifest import Manifest, part

_OLD = ("extensions/v1beta1", "apps/v1beta1", "apps/v1beta2")
_KINDS = ("Deployment", "DaemonSet", "ReplicaSet", "StatefulSet")


def _workload(manifest: Manifest) -> None:
    """Versions before v1 took a missing selector from the template; v1 takes none for granted."""
    spec = manifest["spec"]
    spec.pop("rollbackTo", None)
    spec.pop("templateGeneration", None)
    if not spec.get("selector"):
        labels = part(spec, "template", "metadata", "labels")
        spec["selector"] = {"matchLabels": dict(labels)}


APPS: Steps = {
    **{(version, kind): Step("apps/v1", _workload) for version in _OLD for kind in _KINDS},
    **renamed("apps", ("v1beta1", "v1beta2"), "v1", "ControllerRevision"),
    **renamed("batch", ("v2alpha1", "v1beta1"), "v1", "CronJob"),
}
