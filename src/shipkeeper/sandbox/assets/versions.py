"""Kubernetes versions as text and numbers, and the etcd that goes with each."""

import re

from shipkeeper.errors import UsageError

NEWEST = "v1.37.2"
OLDEST = "v1.20.2"

# Rows of (first Kubernetes minor, etcd version), newest first.
Pairings = tuple[tuple[int, str], ...]

# Source: kubeadm's DefaultEtcdVersion of each release; 1.37's kubeadm runs 3.7.0 down to 1.34.
FITTING_ETCD: Pairings = ((34, "3.7.0"), (22, "3.5.24"), (0, "3.4.13"))
# Source: kubeadm's MinExternalEtcdVersion; before 1.34 the minor that its kubeadm runs.
MINIMUM_ETCD: Pairings = ((34, "3.5.24"), (22, "3.5.0"), (0, "3.4.0"))

_NUMBERS = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


def version_key(version: str) -> tuple[int, int, int]:
    """`v1.37.2` or `3.7.0` as numbers to compare; what follows them (`-rc.1`, `+k3s1`) is left out.

    UsageError when the text does not begin with three numbers.
    """
    numbers = _NUMBERS.match(version)
    if not numbers:
        raise UsageError(f"{version!r} is not a version", hint="a version looks like v1.37.2")
    return int(numbers[1]), int(numbers[2]), int(numbers[3])


def pairing(kubernetes_version: str, rows: Pairings) -> str:
    """The etcd version that `rows` give for a Kubernetes version."""
    minor = version_key(kubernetes_version)[1]
    return next(etcd for first, etcd in rows if minor >= first)
