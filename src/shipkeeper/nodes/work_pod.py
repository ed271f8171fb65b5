"""The pod through which a node's host is worked on, and what its state means; pure."""

import hashlib
from typing import Any

from shipkeeper.model.container import StartedPod, WaitingState
from shipkeeper.model.node import Node
from shipkeeper.model.pod import Pod

CONTAINER = "work"
RUN_LABEL = "shipkeeper.dev/work-of"
LABELS = {"app.kubernetes.io/managed-by": "shipkeeper", "app.kubernetes.io/component": CONTAINER}

# Waiting does not help against these (kubelet pkg/kubelet/images/types.go); ErrImagePull may pass.
_HOPELESS = frozenset({"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"})
# Each is a state in which a kubelet refuses a pod that it was given.
_PULLING = frozenset({"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"})


def pod_name(run: str, node: str) -> str:
    """The one name that the pod of a run on a node can have, so that there are never two."""
    return f"shipkeeper-{run}-{hashlib.sha256(node.encode()).hexdigest()[:10]}"


def run_selector(run: str) -> str:
    """The label selector of all the pods of a run."""
    return f"{RUN_LABEL}={run}"


def is_work_pod(pod: Pod) -> bool:
    """Whether a pod is one of ours; drains leave those alone, and whose run ends removes them."""
    return RUN_LABEL in pod.metadata.labels


def manifest(
    run: str, node: str, namespace: str, image: str, lifetime: float | None = None
) -> dict[str, Any]:
    """A pod that does nothing but stand on its node, from where the host can be entered.

    It is given to its node without the scheduler, which would not put it on a cordoned one, bears
    every taint, comes up again with the host, and has no credentials of the cluster. After its
    lifetime, in seconds, its kubelet ends it.
    """
    deadline = {} if lifetime is None else {"activeDeadlineSeconds": max(1, int(lifetime))}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(run, node),
            "namespace": namespace,
            "labels": {**LABELS, RUN_LABEL: run},
            "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
        },
        "spec": {
            "nodeName": node,
            "hostPID": True,
            "hostNetwork": True,
            "restartPolicy": "Always",
            "tolerations": [{"operator": "Exists"}],
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 2,
            **deadline,
            "containers": [
                {
                    "name": CONTAINER,
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["sleep", "2147483647"],
                    "securityContext": {"privileged": True, "runAsUser": 0},
                }
            ],
        },
    }


def is_up(pod: StartedPod) -> bool:
    """Whether commands can be run in it."""
    ready = any(each.ready for each in pod.status.container_statuses)
    return pod.status.phase == "Running" and ready and not pod.is_deleting


def waiting_state(pod: StartedPod) -> WaitingState | None:
    """Why its container does not run yet, as far as the kubelet says."""
    states = (each.state.waiting for each in pod.status.container_statuses)
    return next((each for each in states if each is not None), None)


def is_hopeless(pod: StartedPod) -> bool:
    """Whether its container will never run."""
    waiting = waiting_state(pod)
    return waiting is not None and waiting.reason in _HOPELESS


def why_not_up(pod: StartedPod | None, node: Node) -> tuple[str, str, str]:
    """Reason, message and hint of a pod that did not come up."""
    if not node.is_ready:
        said = node.ready.message if node.ready else "its kubelet never reported"
        return "NodeNotReady", f"the node is not Ready: {said}", "bring its kubelet back first"
    if pod is None:
        return "PodGone", "somebody deletes its pod", "find out who: kubectl get events"
    see = f"see it with: kubectl describe pod -n {pod.namespace} {pod.name}"
    if pod.is_deleting:
        return "PodTerminating", "the pod that it had before does not go away", see
    waiting = waiting_state(pod)
    if waiting is not None and waiting.reason in _PULLING | _HOPELESS:
        hint = "name an image that nodes can pull, with sh and nsenter, with --pod-image"
        return "ImageUnavailable", f"{waiting.reason}: {waiting.message}", hint
    if waiting is not None and waiting.reason:
        return "PodNotStarted", f"{waiting.reason}: {waiting.message}", see
    if pod.is_finished:
        said = f"{pod.status.reason}: {pod.status.message}"
        return "PodRejected", f"its kubelet does not run the pod: {said}", see
    return "PodNotStarted", f"its pod is {pod.status.phase or 'Pending'}", see
