"""Webhook configurations and admission policies."""

from shipkeeper.backup.convert.step import Step, Steps, renamed, unconvertible
from shipkeeper.backup.manifest import Manifest, parts

_GROUP = "admissionregistration.k8s.io"
_ALLOWED = frozenset({"None", "NoneOnDryRun"})


def _webhooks(manifest: Manifest) -> None:
    for webhook in parts(manifest, "webhooks"):
        effects = webhook.get("sideEffects", "Unknown")
        if effects not in _ALLOWED:
            raise unconvertible(
                f"webhook {webhook['name']} has sideEffects {effects}, which v1 does not take"
            )
        # The defaults of v1beta1, which are not those of v1.
        webhook.setdefault("admissionReviewVersions", ["v1beta1"])
        webhook.setdefault("failurePolicy", "Ignore")
        webhook.setdefault("matchPolicy", "Exact")
        webhook.setdefault("timeoutSeconds", 30)


ADMISSION: Steps = {
    **{
        (f"{_GROUP}/v1beta1", kind): Step(f"{_GROUP}/v1", _webhooks)
        for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
    },
    **renamed(
        _GROUP,
        ("v1alpha1", "v1beta1"),
        "v1",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
    ),
}
