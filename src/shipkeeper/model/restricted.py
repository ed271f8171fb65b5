"""What our pods say of themselves, so that the level `restricted` of Pod Security admits them.

Source: the Pod Security Standards of Kubernetes.
"""

from typing import Any

USER = 65532
"""As whom our image runs; see Containerfile."""


def pod_security() -> dict[str, Any]:
    """The securityContext of a pod: no root, and the runtime's seccomp profile."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> dict[str, Any]:
    """The securityContext of a container: no capability, and a root that is read-only."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
