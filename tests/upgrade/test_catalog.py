"""What is known beforehand is derived, and derived again gives the same bytes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shipkeeper.upgrade.catalog import catalog

ROOT = Path(__file__).parents[2]


def test_the_removed_apis_are_derived_byte_for_byte() -> None:
    answer = subprocess.run(
        [sys.executable, str(ROOT / "tools/derive_apis.py")], capture_output=True, check=False
    )
    is_away = b"no Go toolchain" in answer.stderr or b"dial tcp" in answer.stderr
    # Where changes are judged, what is derived must have been derived again.
    if answer.returncode and is_away and os.environ.get("CI") != "true":
        pytest.skip("there is no Go toolchain, or it does not reach its module proxy")
    assert not answer.returncode, answer.stderr.decode()
    kept = ROOT / "src/shipkeeper/upgrade/data/apis.json"
    assert answer.stdout == kept.read_bytes()


@pytest.mark.parametrize(
    ("place", "removed", "replacement"),
    [
        (("extensions/v1beta1", "Ingress"), 22, "networking.k8s.io/v1 Ingress"),
        (("policy/v1beta1", "PodDisruptionBudget"), 25, "policy/v1 PodDisruptionBudget"),
        (("policy/v1beta1", "PodSecurityPolicy"), 25, ""),
        (("settings.k8s.io/v1alpha1", "PodPreset"), 20, ""),
        # Those that hand-kept lists have wrong, or lack.
        (
            ("authorization.k8s.io/v1beta1", "SubjectAccessReview"),
            22,
            "authorization.k8s.io/v1 SubjectAccessReview",
        ),
        (("events.k8s.io/v1beta1", "Event"), 25, "events.k8s.io/v1 Event"),
        (
            ("flowcontrol.apiserver.k8s.io/v1beta1", "FlowSchema"),
            26,
            "flowcontrol.apiserver.k8s.io/v1beta3 FlowSchema",
        ),
        (
            ("admissionregistration.k8s.io/v1alpha1", "ValidatingAdmissionPolicy"),
            32,
            "admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy",
        ),
        (("resource.k8s.io/v1beta1", "ResourceClaim"), 38, "resource.k8s.io/v1 ResourceClaim"),
        (("scheduling.k8s.io/v1alpha2", "Workload"), 37, "scheduling.k8s.io/v1beta1 Workload"),
    ],
)
def test_known_removals(place: tuple[str, str], removed: int, replacement: str) -> None:
    found = catalog().removal_of[place]
    assert (found.removed, found.replacement) == (removed, replacement)
    assert found.source.startswith("k8s.io/")


def test_what_only_travels_to_webhooks_is_no_api() -> None:
    assert ("admission.k8s.io/v1beta1", "AdmissionReview") not in catalog().removal_of


@pytest.mark.parametrize(
    ("component", "flag", "ends"),
    [
        ("kube-apiserver", "insecure-port", 23),
        ("kube-apiserver", "cloud-provider", 32),
        ("kube-controller-manager", "pod-eviction-timeout", 26),
        ("kube-scheduler", "policy-config-file", 22),
        ("kubelet", "network-plugin", 23),
        ("kubelet", "container-runtime", 26),
        ("kubelet", "pod-infra-container-image", 34),
        ("kube-apiserver", "secure-port", None),
        ("kube-apiserver", "oidc-issuer-url", None),
        ("kubelet", "cloud-provider", None),
        ("kubelet", "some-vendors-own", None),
    ],
)
def test_flags_end(component: str, flag: str, ends: int | None) -> None:
    assert catalog().settings.flag_ends(component, flag) == ends


def test_gates_end_and_are_locked() -> None:
    settings = catalog().settings
    assert settings.gate_ends("DynamicKubeletConfig") == 25
    assert settings.gate_ends("RotateKubeletServerCertificate") is None
    assert settings.locked["EphemeralContainers"].to is True
