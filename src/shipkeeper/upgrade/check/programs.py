"""How components are started: flags and feature gates of static pods and configurations; pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

import msgspec
import yaml

from shipkeeper.upgrade.check.evidence import ProgramArguments
from shipkeeper.upgrade.component import Name
from shipkeeper.upgrade.observe import ImagePod, component_of

MODE = "proxy-mode"
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


def of_maps(
    maps: Mapping[str, Mapping[str, str]],
) -> tuple[str, tuple[ProgramArguments, ...]]:
    """The ConfigMaps of kube-system: the format of kubeadm's, and what they give to components."""
    found: list[ProgramArguments] = []
    kubeadm = ""
    for name, data in sorted(maps.items()):
        target = f"ConfigMap kube-system/{name}"
        each: ProgramArguments | None = None
        if name == "kubeadm-config":
            kubeadm, given = of_kubeadm_config(data.get("ClusterConfiguration", ""), target)
            found += given
        elif name == "kube-proxy":
            each = of_proxy_config(data.get("config.conf", ""), target)
        elif name.startswith("kubelet-config"):
            each = of_kubelet_config(data.get("kubelet", ""), target)
        if each is not None:
            found.append(each)
    return kubeadm, tuple(found)


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


def of_kubelet_config(text: str, target: str) -> ProgramArguments | None:
    """A KubeletConfiguration, None if it cannot be read."""
    document = _mapping(text)
    if document is None:
        return None
    return ProgramArguments(
        target=target,
        component=Name.KUBELET,
        gates=_gates(document.get("featureGates")),
        source="its featureGates",
    )


def of_proxy_config(text: str, target: str) -> ProgramArguments | None:
    """A KubeProxyConfiguration, None if it cannot be read."""
    document = _mapping(text)
    if document is None:
        return None
    return ProgramArguments(
        target=target,
        component=Name.PROXY,
        flags={MODE: mode} if isinstance(mode := document.get("mode"), str) else {},
        gates=_gates(document.get("featureGates")),
        source="its configuration",
    )


def of_kubeadm_config(text: str, target: str) -> tuple[str, tuple[ProgramArguments, ...]]:
    """A ClusterConfiguration: its apiVersion, and what it gives to each component."""
    document = _mapping(text)
    if document is None:
        return "", ()
    found = [
        ProgramArguments(
            target=target,
            component=name,
            flags=(flags := _extra_args(section)),
            gates=gates_of(flags.get("feature-gates", "")),
            source=f"{part}.extraArgs",
        )
        for part, name in _CONTROL_PLANE.items()
        if (section := document.get(part))
    ]
    return str(document.get("apiVersion", "")), tuple(found)


def _extra_args(section: Any) -> dict[str, str]:
    """extraArgs, which is a mapping up to v1beta3 and a list of names and values since."""
    if not isinstance(section, dict):
        return {}
    given: object = cast("dict[str, Any]", section).get("extraArgs")
    if isinstance(given, dict):
        named = cast("dict[object, object]", given)
        return {_flag(str(name)): str(value) for name, value in named.items()}
    if isinstance(given, list):
        pairs = msgspec.convert(given, list[_Argument])
        return {_flag(each.name): each.value for each in pairs}
    return {}


def _flag(name: str) -> str:
    return name.replace("_", "-")


class _Argument(msgspec.Struct, frozen=True):
    name: str
    value: str = ""


def _gates(value: object) -> dict[str, bool]:
    if not isinstance(value, dict):
        return {}
    return {str(name): bool(on) for name, on in cast("dict[object, object]", value).items()}


def _mapping(text: str) -> dict[str, Any] | None:
    try:
        found: object = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except yaml.YAMLError:
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None
