"""How components are started: flags and feature gates of static pods and configurations; pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

import msgspec

from shipkeeper.model.documents import document
from shipkeeper.upgrade.check.evidence import ProgramArguments
from shipkeeper.upgrade.component import Name
from shipkeeper.upgrade.observe import ImagePod, component_of
from shipkeeper.upgrade.versions import ClusterVersions

MODE = "proxy-mode"
_KUBEADM = "kubeadm-config"
_ONE_KUBELET_MAP = 24
"""The first minor whose kubeadm keeps the kubelets' settings without a minor in the name."""
_Document = dict[str, Any]
_Reader = Callable[[_Document, str], Iterable[ProgramArguments]]
_CONTROL_PLANE = {
    "apiServer": Name.API_SERVER,
    "controllerManager": Name.CONTROLLER_MANAGER,
    "scheduler": Name.SCHEDULER,
}


def of_pods(pods: Iterable[ImagePod]) -> Iterator[ProgramArguments]:
    """The control plane's pods by their command lines."""
    for pod in pods:
        name = component_of(pod)
        if name in _CONTROL_PLANE.values() and pod.spec.containers:
            container = pod.spec.containers[0]
            yield of_words(
                (*container.command, *container.args), str(name), f"Pod {pod.key}", "its command"
            )


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What ConfigMaps give to components, the format of kubeadm's, and those that are no YAML."""

    kubeadm: str = ""
    programs: tuple[ProgramArguments, ...] = ()
    unread: tuple[str, ...] = ()


def of_maps(maps: Mapping[str, Mapping[str, str]], versions: ClusterVersions) -> Given:
    """What the ConfigMaps of kube-system give to components of a cluster."""
    found: list[ProgramArguments] = []
    unread: list[str] = []
    kubeadm = ""
    for name, data in sorted(maps.items()):
        if (reading := _reading(name, versions)) is None:
            continue
        key, read = reading
        target = f"ConfigMap kube-system/{name}"
        document = _mapping(data.get(key, ""))
        if document is None:
            unread.append(target)
        elif document:
            found += read(document, target)
            kubeadm = str(document.get("apiVersion", "")) if name == _KUBEADM else kubeadm
    return Given(kubeadm=kubeadm, programs=tuple(found), unread=tuple(unread))


def _reading(name: str, versions: ClusterVersions) -> tuple[str, _Reader] | None:
    """Where a ConfigMap has settings of components, and how they are read; None if it has none."""
    if name == _KUBEADM:
        return "ClusterConfiguration", _of_kubeadm_config
    # It also stays where something else took kube-proxy's place.
    if name == "kube-proxy" and versions.of(Name.PROXY):
        return "config.conf", _of_proxy_config
    if name in _kubelet_maps(versions.server_version.minor):
        return "kubelet", _of_kubelet_config
    return None


def _kubelet_maps(minor: int) -> tuple[str, ...]:
    """What kubeadm reads for kubelets; maps of earlier minors stay, and are never read again."""
    by_minor = (f"kubelet-config-1.{minor}",) if minor < _ONE_KUBELET_MAP else ()
    return ("kubelet-config", *by_minor)


def of_words(words: Iterable[str], component: str, target: str, source: str) -> ProgramArguments:
    """A command line, word by word, as pflag reads it: `--a_b v` is `--a-b=v`."""
    flags: dict[str, str] = {}
    waiting = ""
    for word in words:
        if word.startswith("--"):
            flag, has_value, value = word[2:].partition("=")
            flag = flag.replace("_", "-")
            # One that is given again, adds to what was said.
            flags[flag] = f"{flags[flag]},{value}" if flag in flags else value
            waiting = "" if has_value else flag
        elif waiting:
            flags[waiting] = f"{flags[waiting]}{word}"
            waiting = ""
    return ProgramArguments(
        target=target,
        component=component,
        flags=flags,
        gates=gates_of(flags.get("feature-gates", "")),
        source=source,
    )


def gates_of(text: str) -> dict[str, bool]:
    """Feature gates as a flag has them: `A=true,B=false`, or `kube:A=true`."""
    found: dict[str, bool] = {}
    for each in text.split(","):
        name, _, value = each.strip().rpartition("=")
        if name:
            found[name.rpartition(":")[2]] = value.lower() == "true"
    return found


def _of_kubelet_config(document: _Document, target: str) -> Iterator[ProgramArguments]:
    yield ProgramArguments(
        target=target,
        component=Name.KUBELET,
        gates=_gates(document.get("featureGates")),
        source="its featureGates",
    )


def _of_proxy_config(document: _Document, target: str) -> Iterator[ProgramArguments]:
    yield ProgramArguments(
        target=target,
        component=Name.PROXY,
        flags={MODE: mode} if isinstance(mode := document.get("mode"), str) else {},
        gates=_gates(document.get("featureGates")),
        source="its configuration",
    )


def _of_kubeadm_config(document: _Document, target: str) -> Iterator[ProgramArguments]:
    """What a ClusterConfiguration gives to each component."""
    for part, name in _CONTROL_PLANE.items():
        if section := document.get(part):
            flags = _extra_args(section)
            yield ProgramArguments(
                target=target,
                component=name,
                flags=flags,
                gates=gates_of(flags.get("feature-gates", "")),
                source=f"{part}.extraArgs",
            )


def _extra_args(section: Any) -> dict[str, str]:
    """extraArgs, which is a mapping up to v1beta3 and a list of names and values since."""
    if not isinstance(section, dict):
        return {}
    given: object = cast("dict[str, Any]", section).get("extraArgs")
    if isinstance(given, dict):
        named = cast("dict[object, object]", given)
        return {_flag(str(name)): str(value) for name, value in named.items()}
    if isinstance(given, list):
        # Written by hand, an entry may be anything; those without a name give nothing.
        entries = [
            cast("dict[str, object]", each)
            for each in cast("list[object]", given)
            if isinstance(each, dict)
        ]
        return {
            _flag(name): str(each.get("value", ""))
            for each in entries
            if isinstance(name := each.get("name"), str)
        }
    return {}


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _gates(value: object) -> dict[str, bool]:
    if not isinstance(value, dict):
        return {}
    return {str(name): bool(on) for name, on in cast("dict[object, object]", value).items()}


def _mapping(text: str) -> _Document | None:
    """A YAML mapping, empty where nothing is given; None if it is no such thing."""
    try:
        found: object = document(text)
    except ValueError:
        return None
    if found is None:
        return {}
    return cast("_Document", found) if isinstance(found, dict) else None
