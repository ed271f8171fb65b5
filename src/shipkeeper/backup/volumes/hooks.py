"""Commands in pods before and after their volumes are saved, by annotations and flags. Pure."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from shipkeeper.backup.volumes.world import UsingPod
from shipkeeper.errors import UsageError
from shipkeeper.model.duration import parse_duration
from shipkeeper.model.selector import parse_selector

OWN = "hook.shipkeeper.dev"
_VELERO = {"before": "pre.hook.backup.velero.io", "after": "post.hook.backup.velero.io"}
_TIMEOUT = "30s"


class OnError(StrEnum):
    """Whether a pod's volumes are saved although its command before them failed."""

    FAIL = "fail"
    CONTINUE = "continue"


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """A command in a container of a pod; timeout in seconds."""

    pod: UsingPod
    container: str
    command: tuple[str, ...]
    timeout: float
    on_error: OnError


class Hooks(msgspec.Struct, frozen=True, kw_only=True):
    """What is run in one pod."""

    before: Hook | None = None
    after: Hook | None = None


class HookFlags(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Commands for all pods that a selector matches; annotations of a pod come first."""

    pods: str = ""
    before: str = ""
    after: str = ""
    container: str = ""
    timeout: str = _TIMEOUT
    on_error: OnError = OnError.FAIL


def hooks_of(pod: UsingPod, flags: HookFlags) -> Hooks:
    """The commands of a pod; UsageError for an annotation that makes no sense."""
    if not pod.runs:
        return Hooks()
    return Hooks(before=_hook(pod, "before", flags), after=_hook(pod, "after", flags))


def _hook(pod: UsingPod, when: str, flags: HookFlags) -> Hook | None:
    annotations = pod.metadata.annotations
    own = {
        name: annotations[f"{OWN}/{when}{suffix}"]
        for name, suffix in _own_names()
        if f"{OWN}/{when}{suffix}" in annotations
    }
    if own.get("command"):
        return _made(pod, own, in_shell=True)
    velero = {
        name: annotations[f"{_VELERO[when]}/{key}"]
        for name, key in _velero_names()
        if f"{_VELERO[when]}/{key}" in annotations
    }
    if velero.get("command"):
        return _made(pod, velero, in_shell=False)
    command = flags.before if when == "before" else flags.after
    if command and parse_selector(flags.pods).matches(pod.metadata.labels):
        given = {
            "command": command,
            "container": flags.container,
            "timeout": flags.timeout,
            "on_error": flags.on_error,
        }
        return _made(pod, given, in_shell=True)
    return None


def _own_names() -> Iterable[tuple[str, str]]:
    return (
        ("command", ""),
        ("container", "-container"),
        ("timeout", "-timeout"),
        ("on_error", "-on-error"),
    )


def _velero_names() -> Iterable[tuple[str, str]]:
    return (
        ("command", "command"),
        ("container", "container"),
        ("timeout", "timeout"),
        ("on_error", "on-error"),
    )


def _made(pod: UsingPod, said: Mapping[str, str], *, in_shell: bool) -> Hook:
    first = pod.spec.containers[0].name if pod.spec.containers else ""
    try:
        return Hook(
            pod=pod,
            container=said.get("container") or first,
            command=_command(said["command"], in_shell=in_shell),
            timeout=parse_duration(said.get("timeout") or _TIMEOUT).total_seconds(),
            on_error=OnError((said.get("on_error") or OnError.FAIL).lower()),
        )
    except (ValueError, UsageError, msgspec.DecodeError) as error:
        raise UsageError(
            f"the hook of pod {pod.key} makes no sense: {error}",
            reason="InvalidHook",
            hint=f"see its annotations: kubectl -n {pod.namespace} describe pod {pod.name}",
        ) from error


def _command(text: str, *, in_shell: bool) -> tuple[str, ...]:
    """A JSON list of words; else a line for a shell, or as Velero takes it, one word."""
    if text.lstrip().startswith("["):
        return msgspec.json.decode(text, type=tuple[str, ...])
    return ("sh", "-c", text) if in_shell else (text,)
