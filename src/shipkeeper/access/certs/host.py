"""What a host tells of its certificates, as frozen values. Pure."""

from typing import Any

import msgspec

from shipkeeper.access.authorizers import command_of, flags_of
from shipkeeper.access.controls.host import name_of, read_mapping

MANIFESTS = "/etc/kubernetes/manifests"
KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"


class HostFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file with certificates: they alone (PEM), and when it was written (Unix seconds).

    `key_digest` is the SHA-256 of the public half of the private key that belongs to it, as the
    host worked it out; empty if it could not. `lines` are a kubeconfig's settings by name.
    """

    path: str
    pem: bytes = b""
    written: float = 0.0
    key_digest: str = ""
    lines: dict[str, str] = {}
    is_kubeconfig: bool = False
    is_readable: bool = True


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A running component: since when (Unix seconds), and with which flags."""

    name: str
    since: float
    flags: dict[str, str]


class HostLook(msgspec.Struct, frozen=True, kw_only=True):
    """One host; `skew` is how many seconds its clock is ahead of ours."""

    name: str
    files: tuple[HostFile, ...] = ()
    processes: tuple[Process, ...] = ()
    manifests: dict[str, str] = {}
    kubelet_config: str = ""
    skew: float = 0.0
    has_openssl: bool = True

    def flags(self, component: str) -> dict[str, str] | None:
        """The flags of a component: of its process, else of its static pod, else None."""
        for process in self.processes:
            if process.name == component:
                return process.flags
        for text in self.manifests.values():
            pod = read_mapping(text)
            if name_of(pod) == component:
                return flags_of(command_of(pod.get("spec")))
        return None

    def since(self, component: str) -> float | None:
        """Since when a component runs, None if it does not."""
        return next((each.since for each in self.processes if each.name == component), None)

    def kubelet(self) -> dict[str, Any]:
        """The kubelet's configuration; empty if it could not be read."""
        return read_mapping(self.kubelet_config)

    def file(self, path: str) -> HostFile | None:
        """A file by its path."""
        return next((each for each in self.files if each.path == path), None)
