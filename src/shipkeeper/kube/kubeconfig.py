"""Kubeconfig files: found, merged and read as kubectl does, with errors that name the file."""

import binascii
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.kube.impersonation import Impersonation
from shipkeeper.model.documents import document

_PATHS = frozenset({"certificate-authority", "client-certificate", "client-key", "tokenFile"})
_DATA = frozenset({"certificate-authority-data", "client-certificate-data", "client-key-data"})


class ConfigError(ShipkeeperError):
    """The kubeconfig cannot be used, or does not hold what was asked for."""


class _Context(msgspec.Struct, frozen=True):
    cluster: str = ""
    user: str = ""


class _NamedContext(msgspec.Struct, frozen=True):
    name: str
    context: _Context


class _NamedCluster(msgspec.Struct, frozen=True):
    name: str
    settings: dict[str, Any] = msgspec.field(name="cluster")


class _NamedUser(msgspec.Struct, frozen=True):
    name: str
    settings: dict[str, Any] | None = msgspec.field(default=None, name="user")


class _File(msgspec.Struct, frozen=True, rename={"current_context": "current-context"}):
    current_context: str | None = None
    contexts: tuple[_NamedContext, ...] | None = None
    clusters: tuple[_NamedCluster, ...] | None = None
    users: tuple[_NamedUser, ...] | None = None


_Named = TypeVar("_Named", _NamedContext, _NamedCluster, _NamedUser)


class Kubeconfig(msgspec.Struct, frozen=True):
    """One context: its cluster and its user as the files have them, but with absolute paths."""

    context: str
    cluster: dict[str, Any]
    user: dict[str, Any]
    impersonation: Impersonation

    def document(self) -> dict[str, Any]:
        """The same as a kubeconfig that holds nothing else."""
        return {
            "current-context": self.context,
            "contexts": [{"name": self.context, "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": self.cluster}],
            "users": [{"name": "u", "user": self.user}],
        }


def kubeconfig_files(named: str = "") -> list[Path]:
    """The files to read: the one named, else $KUBECONFIG's, else ~/.kube/config, else none.

    A missing file is a ConfigError if it is named alone; of a list, one must be there.
    """
    if named:
        return [_existing(Path(named).expanduser(), "--kubeconfig")]
    parts = [part for part in os.environ.get("KUBECONFIG", "").split(os.pathsep) if part]
    if parts:
        listed = [Path(part).expanduser() for part in parts]
        return [path for path in listed if path.is_file()] or [_existing(listed[0], "$KUBECONFIG")]
    default = Path.home() / ".kube" / "config"
    return [default] if default.is_file() else []


def read_kubeconfig(files: Sequence[Path], context: str = "") -> Kubeconfig:
    """Merge the files, where the first to name a thing wins, and choose a context.

    Without a name it is the current one. ConfigError says what is wrong in which file.
    """
    read = [_read(file) for file in files]
    contexts = _first_of_each(each for file in read for each in file.contexts or ())
    clusters = _first_of_each(each for file in read for each in file.clusters or ())
    users = _first_of_each(each for file in read for each in file.users or ())
    current = next((file.current_context for file in read if file.current_context), "")
    name = context or current
    chosen = contexts.get(name)
    if chosen is None:
        raise _no_context(name, list(contexts), files)
    cluster, user = chosen.context.cluster, chosen.context.user
    if cluster not in clusters:
        raise _dangling(name, f"cluster {cluster!r}", files)
    if user and user not in users:
        raise _dangling(name, f"user {user!r}", files)
    if not clusters[cluster].settings.get("server"):
        raise _invalid(files, f"cluster {cluster!r} has no server")
    login = (users[user].settings if user else None) or {}
    try:
        impersonation = msgspec.convert(login, Impersonation)
    except msgspec.ValidationError as error:
        raise _invalid(files, f"user {user!r}: {error}") from error
    return Kubeconfig(name, clusters[cluster].settings, login, impersonation)


def context_names(files: Sequence[Path]) -> tuple[str, ...]:
    """The contexts of the files, in their order; ConfigError says what is wrong in which file."""
    return tuple(_first_of_each(each for file in map(_read, files) for each in file.contexts or ()))


def _existing(path: Path, named_by: str) -> Path:
    if path.is_file():
        return path
    raise ConfigError(
        f"no kubeconfig at {path} (named by {named_by})",
        reason="KubeconfigNotFound",
        hint="check the path, or leave it out to use ~/.kube/config",
    )


def _read(path: Path) -> _File:
    try:
        value = document(path.read_bytes())
    except OSError as error:
        raise _invalid([path], str(error)) from error
    except ValueError as error:
        raise _invalid([path], f"not YAML: {error}") from error
    try:
        read = msgspec.convert(value or {}, _File)
    except msgspec.ValidationError as error:
        raise _invalid([path], str(error).splitlines()[0]) from error
    for named in (*(read.clusters or ()), *(read.users or ())):
        _settle(named.settings or {}, named.name, path)
    return read


def _settle(settings: dict[str, Any], name: str, path: Path) -> None:
    """Make paths absolute, which are relative to their kubeconfig, and check inline data."""
    base = path.absolute().parent
    for key in (_PATHS | _DATA) & settings.keys():
        value = str(settings.pop(key) or "")
        if value and key in _DATA and not _is_base64(value):
            raise _invalid([path], f"{key} of {name!r} is not base64")
        if value:
            settings[key] = str(base / value) if key in _PATHS else value
    match settings.get("exec"):
        # A bare command is looked up in PATH, as kubectl does.
        case {"command": str(command)} if os.sep in command:
            settings["exec"]["command"] = str(base / command)
        case _:
            pass


def _is_base64(text: str) -> bool:
    try:
        binascii.a2b_base64("".join(text.split()), strict_mode=True)
    except ValueError:
        return False
    return True


def _first_of_each(named: Iterable[_Named]) -> dict[str, _Named]:
    found: dict[str, _Named] = {}
    for each in named:
        found.setdefault(each.name, each)
    return found


def _no_context(name: str, others: list[str], files: Sequence[Path]) -> ConfigError:
    what = f"there is no context {name!r}" if name else "no current context is set"
    known = ", ".join(others) if others else "none"
    return ConfigError(
        f"{what} in the kubeconfig {_names(files)}",
        reason="ContextNotFound",
        hint=f"choose one with --context; there are: {known}",
    )


def _dangling(context: str, target: str, files: Sequence[Path]) -> ConfigError:
    return _invalid(files, f"context {context!r} names {target}, which is not there")


def _invalid(files: Sequence[Path], why: str) -> ConfigError:
    return ConfigError(
        f"cannot use the kubeconfig {_names(files)}: {why}",
        reason="InvalidKubeconfig",
        hint="compare it with the output of: kubectl config view",
    )


def _names(files: Sequence[Path]) -> str:
    return os.pathsep.join(str(file) for file in files)
