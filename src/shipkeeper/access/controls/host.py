"""What a host tells of itself: files of the control plane and the kubelet, and what runs. Pure."""

from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

import msgspec

from shipkeeper.access.assembly import Manifest
from shipkeeper.access.authorizers import flags_of
from shipkeeper.model.documents import document

MANIFESTS = "/etc/kubernetes/manifests"
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd")
KUBELET, PROXY = "kubelet", "kube-proxy"
_CLIENT_CA = ("authentication", "x509", "clientCAFile")

# What flags of the kubelet and of etcd name, and where it usually is.
KUBELET_CONFIG, KUBELET_KUBECONFIG = "kubelet-config", "kubelet-kubeconfig"
KUBELET_CLIENT_CA, ETCD_DATA = "kubelet-client-ca", "etcd-data"
USUAL_PLACES = {
    KUBELET_CONFIG: "/var/lib/kubelet/config.yaml",
    KUBELET_KUBECONFIG: "/etc/kubernetes/kubelet.conf",
    KUBELET_CLIENT_CA: "/etc/kubernetes/pki/ca.crt",
    ETCD_DATA: "/var/lib/etcd",
}


class HostFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file: its permission bits, and whose it is."""

    path: str
    mode: int
    owner: str
    group: str


class HostSurvey(msgspec.Struct, frozen=True, kw_only=True):
    """One host's files, the texts of those that say how its components run, and what runs."""

    host: str
    files: tuple[HostFile, ...] = ()
    texts: dict[str, str] = {}
    unseen: tuple[str, ...] = ()
    """Folders and files that are there, but whose contents the user may not see."""
    commands: dict[str, tuple[str, ...]] = {}
    """The command lines of Kubernetes' processes, by their names."""
    proxy_config: str = ""
    """The configuration that kube-proxy runs with."""
    unreached: str = ""
    """Why nothing of it could be looked at."""

    def hides(self, pattern: str) -> str:
        """What keeps a path, or some of a pattern's paths, from being seen; empty if nothing."""
        if self.unreached:
            return f"{self.host} was not looked at: {self.unreached}"
        name = pattern.rpartition("/")[2]
        for path in self.unseen:
            is_inside = pattern.startswith(f"{path}/") or fnmatch(f"{path}/{name}", pattern)
            if is_inside or fnmatch(path, pattern):
                return f"{self.host}:{path} may not be read"
        return ""

    def static_pods(self) -> list[Manifest]:
        """The static pods of its manifests, named as their mirrors would be.

        A component of the control plane that runs without one is told as if it had one.
        """
        found = [
            value
            for path, text in sorted(self.texts.items())
            if path.startswith(f"{MANIFESTS}/")
            for value in (read_mapping(text),)
            if value.get("kind") == "Pod"
        ]
        known = {name_of(each) for each in found}
        return [
            *found,
            *(each for each in self._services() if name_of(each) not in known),
        ]

    def _services(self) -> Iterator[Manifest]:
        for name in CONTROL_PLANE:
            if name in self.commands:
                yield {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": name, "labels": {"component": name}},
                    "spec": {"containers": [{"name": name, "command": [*self.commands[name]]}]},
                }

    def place(self, what: str) -> str:
        """Where something is that flags may name."""
        flags = self.flags(KUBELET)
        match what:
            case "kubelet-config":
                named = flags.get("config", "")
            case "kubelet-kubeconfig":
                named = flags.get("kubeconfig", "")
            case "kubelet-client-ca":
                named = flags.get("client-ca-file", "") or setting(self.kubelet(), *_CLIENT_CA)
            case _:
                named = self.flags("etcd").get("data-dir", "")
        return named or USUAL_PLACES[what]

    @property
    def is_node(self) -> bool:
        """Whether a kubelet is seen on it."""
        return KUBELET in self.commands or self.kubelet() is not None

    def flags(self, name: str) -> dict[str, str]:
        """The flags that a component runs with; none if it does not run, as far as is known."""
        return flags_of(self.commands.get(name, ()))

    def kubelet(self) -> dict[str, Any] | None:
        """The kubelet's configuration, None if there is none to be seen."""
        named = self.flags(KUBELET).get("config", "") or USUAL_PLACES[KUBELET_CONFIG]
        text = self.texts.get(named)
        return read_mapping(text) if text is not None else None


def setting(config: dict[str, Any] | None, *keys: str) -> str | None:
    """A value of a configuration as a flag would spell it; None if it is not set."""
    value: object = config
    for key in keys:
        value = msgspec.convert(value, type=dict[str, Any]).get(key) if _is_mapping(value) else None
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case list():
            return ",".join(msgspec.convert(value, type=list[str], strict=False))
        case _:
            return str(value)


def name_of(pod: Manifest) -> str:
    """The name of a static pod."""
    return setting(pod, "metadata", "name") or ""


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def read_mapping(text: str) -> dict[str, Any]:
    """A YAML text as a mapping; an empty one if it is none."""
    try:
        return msgspec.convert(document(text), type=dict[str, Any])
    except ValueError:
        return {}
