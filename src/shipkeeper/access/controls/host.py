"""What a host tells of itself: the files of the control plane and the kubelet. Pure."""

from fnmatch import fnmatch
from typing import Any

import msgspec
import yaml

from shipkeeper.access.assembly import Manifest

MANIFESTS = "/etc/kubernetes/manifests"
KUBELET_CONFIG = "/var/lib/kubelet/config.yaml"


class HostFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file: its permission bits, and whose it is."""

    path: str
    mode: int
    owner: str
    group: str


class HostSurvey(msgspec.Struct, frozen=True, kw_only=True):
    """One host's files, and the texts of those that say how its components run."""

    host: str
    files: tuple[HostFile, ...] = ()
    texts: dict[str, str] = {}
    unseen: tuple[str, ...] = ()
    """Folders and files that are there, but whose contents the user may not see."""

    def hides(self, pattern: str) -> str:
        """What keeps a path, or some of a pattern's paths, from being seen; empty if nothing."""
        name = pattern.rpartition("/")[2]
        for path in self.unseen:
            is_inside = pattern.startswith(f"{path}/") or fnmatch(f"{path}/{name}", pattern)
            if is_inside or fnmatch(path, pattern):
                return f"{self.host}:{path} may not be read"
        return ""

    def static_pods(self) -> list[Manifest]:
        """The static pods of its manifests, named as their mirrors would be."""
        found: list[Manifest] = []
        for path, text in sorted(self.texts.items()):
            if path.startswith(f"{MANIFESTS}/"):
                value = _read(text)
                if value.get("kind") == "Pod":
                    found.append(value)
        return found

    def kubelet(self) -> dict[str, Any] | None:
        """The kubelet's configuration, None if there is none to be seen."""
        text = self.texts.get(KUBELET_CONFIG)
        return _read(text) if text is not None else None


def _read(text: str) -> dict[str, Any]:
    try:
        return msgspec.convert(yaml.load(text, Loader=yaml.CSafeLoader), type=dict[str, Any])
    except (yaml.YAMLError, msgspec.ValidationError):
        return {}
