"""What runs in a cluster: the components that keep Kubernetes' version, and those that do not."""

from enum import StrEnum

import msgspec

from shipkeeper.errors import UsageError
from shipkeeper.model.version import Version


class Name(StrEnum):
    """The components that are told apart."""

    API_SERVER = "kube-apiserver"
    CONTROLLER_MANAGER = "kube-controller-manager"
    SCHEDULER = "kube-scheduler"
    CLOUD_CONTROLLER_MANAGER = "cloud-controller-manager"
    KUBELET = "kubelet"
    PROXY = "kube-proxy"
    KUBECTL = "kubectl"
    ETCD = "etcd"
    COREDNS = "coredns"
    RUNTIME = "container-runtime"


CONTROLLERS = frozenset({Name.CONTROLLER_MANAGER, Name.SCHEDULER, Name.CLOUD_CONTROLLER_MANAGER})
OF_THEIR_OWN = frozenset({Name.ETCD, Name.COREDNS, Name.RUNTIME})
"""Components whose versions are not Kubernetes'."""


class Component(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One running component: `node` is where, empty if that is not known; `pod` is its key."""

    name: Name
    text: str
    node: str = ""
    pod: str = ""

    @property
    def version(self) -> Version | None:
        """Its version, if it is one of Kubernetes' grammar (etcd's and CoreDNS's are, too)."""
        return read_version(self.text)


def read_version(text: str) -> Version | None:
    """A version out of an image's tag, or out of what a kubelet tells of its runtime."""
    try:
        return Version.parse(text.rpartition("://")[2])
    except UsageError:
        return None


def tag_of(image: str) -> str:
    """The tag of an image's name, empty if it is named by its digest alone."""
    name = image.partition("@")[0]
    tail = name.rpartition("/")[2]
    return tail.partition(":")[2]
