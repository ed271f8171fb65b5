"""The zstd dictionary of Kubernetes' own words: it serves the small backups of quiet clusters."""

from importlib import resources


def kubernetes_dictionary() -> bytes:
    """A dictionary trained on public sample objects alone: it holds nothing of any cluster."""
    return resources.files("shipkeeper.store").joinpath("kubernetes.zdict").read_bytes()
