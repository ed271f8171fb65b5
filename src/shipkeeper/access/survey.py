"""Looking at a host's files by one shell program: no file is changed, and no key is read."""

import base64
import shlex
from collections.abc import Iterable

from shipkeeper.access.authorizers import command_of, flags_of
from shipkeeper.access.controls.host import HostFile, HostSurvey
from shipkeeper.errors import ShipkeeperError
from shipkeeper.hosts.host import Host, Session

_LOOKED_AT = (
    "/etc/kubernetes/manifests/*.yaml",
    "/etc/kubernetes/*.conf",
    "/etc/kubernetes/pki",
    "/etc/kubernetes/pki/*.crt",
    "/etc/kubernetes/pki/*.key",
    "/etc/cni/net.d/*",
    "/var/lib/etcd",
    "/var/lib/kubelet/config.yaml",
    "/etc/systemd/system/kubelet.service.d/*.conf",
    "/usr/lib/systemd/system/kubelet.service.d/*.conf",
)
_READ = ("/etc/kubernetes/manifests/*.yaml", "/var/lib/kubelet/config.yaml")
_FOLDERS = (
    "/etc/kubernetes",
    "/etc/kubernetes/manifests",
    "/etc/kubernetes/pki",
    "/etc/cni/net.d",
    "/var/lib/kubelet",
    "/etc/systemd/system/kubelet.service.d",
    "/usr/lib/systemd/system/kubelet.service.d",
)
_NAMED_BY_FLAGS = ("authorization-config", "authorization-policy-file")
# Of this one no more than the order of its providers: their keys stay where they are.
_ENCRYPTION = "encryption-provider-config"


class SurveyError(ShipkeeperError):
    """A host's files could not be looked at."""


async def survey(host: Host, root: str = "") -> HostSurvey:
    """Look at a host's files, under a root directory of it."""
    async with host.session() as session:
        files, texts = await _look(session, host.name, root)
        found = HostSurvey(host=host.name, files=files, texts=texts)
        flags = _api_server_flags(found)
        named = [flags[name] for name in _NAMED_BY_FLAGS if name in flags]
        texts |= await _texts(session, host.name, root, named)
        if _ENCRYPTION in flags:
            texts |= await _providers(session, host.name, root, flags[_ENCRYPTION])
            named.append(flags[_ENCRYPTION])
        closed = await _run(session, host.name, closed_program(root, named))
    unseen = tuple(path.removeprefix(root) for path in closed.splitlines())
    return HostSurvey(host=host.name, files=files, texts=texts, unseen=unseen)


def _api_server_flags(found: HostSurvey) -> dict[str, str]:
    for pod in found.static_pods():
        if pod.get("metadata", {}).get("name") == "kube-apiserver":
            return flags_of(command_of(pod.get("spec") or {}))
    return {}


async def _look(
    session: Session, name: str, root: str
) -> tuple[tuple[HostFile, ...], dict[str, str]]:
    patterns = " ".join(f"{shlex.quote(root)}{pattern}" for pattern in _LOOKED_AT)
    listed = await _run(
        session,
        name,
        f'for f in {patterns}; do [ -e "$f" ] && stat -L -c \'%a %U %G %n\' "$f"; done; true',
    )
    files = tuple(_file(line, root) for line in listed.splitlines())
    return files, await _texts(session, name, root, _READ, are_patterns=True)


def _file(line: str, root: str) -> HostFile:
    mode, owner, group, path = line.split(" ", 3)
    return HostFile(path=path.removeprefix(root), mode=int(mode, 8), owner=owner, group=group)


def closed_program(root: str, named: Iterable[str] = ()) -> str:
    """A shell program that lists the folders and files that the user may not look into."""
    folders = " ".join(f"{shlex.quote(root + path)}" for path in _FOLDERS)
    patterns = " ".join(f"{shlex.quote(root)}{pattern}" for pattern in _READ)
    files = " ".join(shlex.quote(root + path) for path in named)
    return (
        f'for d in {folders}; do [ -d "$d" ] && {{ [ -r "$d" ] && [ -x "$d" ] || '
        f'printf "%s\\n" "$d"; }}; done; for f in {patterns} {files}; do '
        '[ -e "$f" ] && { [ -r "$f" ] || printf "%s\\n" "$f"; }; done; true'
    )


async def _texts(
    session: Session, name: str, root: str, paths: Iterable[str], *, are_patterns: bool = False
) -> dict[str, str]:
    spelled = " ".join(
        f"{shlex.quote(root)}{path if are_patterns else shlex.quote(path)}" for path in paths
    )
    if not spelled:
        return {}
    program = (
        f'for f in {spelled}; do [ -r "$f" ] && '
        '{ base64 < "$f" | tr -d "\\n"; printf " %s\\n" "$f"; }; done; true'
    )
    found: dict[str, str] = {}
    for line in (await _run(session, name, program)).splitlines():
        encoded, _, path = line.partition(" ")
        found[path.removeprefix(root)] = base64.b64decode(encoded).decode("utf-8", "replace")
    return found


async def _providers(session: Session, name: str, root: str, path: str) -> dict[str, str]:
    """The names of the providers, in order."""
    program = (
        f"grep -oE '^ *-? *(providers|identity|aesgcm|aescbc|secretbox|kms):' "
        f"{shlex.quote(root)}{shlex.quote(path)}; true"
    )
    return {path: await _run(session, name, program)}


async def _run(session: Session, name: str, program: str) -> str:
    chunks: list[bytes] = []
    answer = await session.execute(f"export LC_ALL=C; {program}", chunks.append)
    if answer.exit_code:
        raise SurveyError(
            f"cannot look at the files of {name}: {answer.errors.strip() or answer.exit_code}",
            reason="SurveyFailed",
            hint="log in as root, or with --ssh-sudo",
        )
    return b"".join(chunks).decode("utf-8", "surrogateescape")
