"""shipkeeper looks after Kubernetes clusters: maintenance, upgrades, backup, access."""

__version__ = "0.1.0"
