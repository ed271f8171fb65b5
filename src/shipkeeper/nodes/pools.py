"""Pools of nodes, as the tools that make nodes label them; pure."""

from collections.abc import Iterable

from shipkeeper.model.node import Node

# The first that any node carries is the one that counts.
POOL_LABELS = (
    "karpenter.sh/nodepool",
    "cloud.google.com/gke-nodepool",
    "eks.amazonaws.com/nodegroup",
    "kubernetes.azure.com/agentpool",
    "kops.k8s.io/instancegroup",
    "doks.digitalocean.com/node-pool",
    "node-pool",
    "pool",
)


def pool_label_of(nodes: Iterable[Node]) -> str:
    """The label that names pools in this cluster; empty if there is none that is known."""
    carried = {label for node in nodes for label in node.metadata.labels}
    return next((label for label in POOL_LABELS if label in carried), "")


def pool_of(node: Node, label: str) -> str:
    """A node's pool: by the label if there is one, else its roles, else `workers`."""
    if label:
        return node.metadata.labels.get(label, "")
    return ",".join(node.roles) or "workers"
