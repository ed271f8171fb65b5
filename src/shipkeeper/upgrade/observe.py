"""Reading what runs where in a cluster; never writes."""

import asyncio
import shutil
from collections.abc import Iterable, Iterator

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES, Resource
from shipkeeper.model.base import KubeStruct
from shipkeeper.model.meta import KubeObject
from shipkeeper.model.node import Node
from shipkeeper.model.version import Version
from shipkeeper.upgrade.component import Component, Name, tag_of
from shipkeeper.upgrade.versions import ClusterVersions

_SYSTEM = "kube-system"
# How pods of each component are labelled: by kubeadm, by the addons, by clouds.
_LABELS = {
    ("component", "kube-apiserver"): Name.API_SERVER,
    ("component", "kube-controller-manager"): Name.CONTROLLER_MANAGER,
    ("component", "kube-scheduler"): Name.SCHEDULER,
    ("component", "cloud-controller-manager"): Name.CLOUD_CONTROLLER_MANAGER,
    ("k8s-app", "cloud-controller-manager"): Name.CLOUD_CONTROLLER_MANAGER,
    ("component", "etcd"): Name.ETCD,
    ("k8s-app", "kube-proxy"): Name.PROXY,
    ("k8s-app", "kube-dns"): Name.COREDNS,
}
_PLACES = {
    Name.API_SERVER: "the API servers one by one (no pods of theirs are seen)",
    Name.CONTROLLER_MANAGER: "the controller managers (no pods of theirs are seen)",
    Name.SCHEDULER: "the schedulers (no pods of theirs are seen)",
    Name.ETCD: "etcd (no pods of it are seen)",
}


class ImageContainer(KubeStruct, frozen=True, kw_only=True):
    """A container by its image and how it is started."""

    name: str = ""
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()


class ImagePodSpec(KubeStruct, frozen=True, kw_only=True):
    """Where a pod runs, and what in it."""

    node_name: str = ""
    containers: tuple[ImageContainer, ...] = ()


class ImagePod(KubeObject, frozen=True, kw_only=True):
    """A pod of which it matters what it runs."""

    spec: ImagePodSpec = ImagePodSpec()


class ConfigMapData(KubeObject, frozen=True, kw_only=True):
    """What a ConfigMap holds."""

    data: dict[str, str] | None = None


SYSTEM_PODS = Resource("", "v1", "pods", "Pod", ImagePod)
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", ConfigMapData)


class _ClientVersion(KubeStruct, frozen=True, kw_only=True):
    git_version: str


class _Kubectl(KubeStruct, frozen=True, kw_only=True):
    client_version: _ClientVersion


async def observe_system_maps(reader: Reader) -> dict[str, dict[str, str]]:
    """The data of every ConfigMap of kube-system, by its name: kubeadm keeps its settings there."""
    listed = await reader.list(CONFIG_MAPS, namespace=_SYSTEM)
    return {each.name: each.data or {} for each in listed.items}


async def observe_versions(reader: Reader) -> ClusterVersions:
    """Everything that tells a version, and what could not be seen."""
    server, nodes, pods, kubectl = await asyncio.gather(
        reader.version(),
        reader.list(NODES),
        reader.list(SYSTEM_PODS, namespace=_SYSTEM),
        _kubectl(),
    )
    return gather_versions(server, nodes.items, pods.items, kubectl)


def gather_versions(
    server: Version, nodes: Iterable[Node], pods: Iterable[ImagePod], kubectl: str
) -> ClusterVersions:
    """The components that nodes and pods tell of."""
    nodes = sorted(nodes, key=lambda each: each.name)
    found = [*_of_pods(pods), *_of_nodes(nodes)]
    seen = {each.name for each in found}
    if Name.API_SERVER not in seen:
        found.append(Component(name=Name.API_SERVER, text=str(server)))
    if kubectl:
        found.append(Component(name=Name.KUBECTL, text=kubectl))
    return ClusterVersions(
        server=str(server),
        components=tuple(found),
        control_planes=tuple(each.name for each in nodes if each.is_control_plane),
        not_seen=tuple(what for name, what in _PLACES.items() if name not in seen),
    )


def component_of(pod: ImagePod) -> Name | None:
    """Which component a pod of kube-system is, by its labels."""
    labels = pod.metadata.labels
    return next((name for (key, value), name in _LABELS.items() if labels.get(key) == value), None)


def _of_pods(pods: Iterable[ImagePod]) -> Iterator[Component]:
    for pod in sorted(pods, key=lambda each: each.key):
        name = component_of(pod)
        if name is None or not pod.spec.containers:
            continue
        image = pod.spec.containers[0].image
        yield Component(
            name=name, text=tag_of(image) or image, node=pod.spec.node_name, pod=pod.key
        )


def _of_nodes(nodes: Iterable[Node]) -> Iterator[Component]:
    for node in nodes:
        info = node.status.node_info
        yield Component(name=Name.KUBELET, text=info.kubelet_version, node=node.name)
        if info.container_runtime_version:
            runtime = info.container_runtime_version
            yield Component(name=Name.RUNTIME, text=runtime, node=node.name)


async def _kubectl() -> str:
    """The version of the kubectl on this machine; empty if there is none."""
    program = shutil.which("kubectl")
    if program is None:
        return ""
    try:
        process = await asyncio.create_subprocess_exec(
            *(program, "version", "--client", "--output=json"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        answer, _ = await process.communicate()
        return msgspec.json.decode(answer, type=_Kubectl).client_version.git_version
    except (OSError, msgspec.DecodeError, ShipkeeperError):
        return ""
