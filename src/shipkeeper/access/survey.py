"""Looking at a host's files by one shell program: no file is changed, and no key is read."""

import base64
import shlex
from collections.abc import Iterable

import msgspec

from shipkeeper.access.authorizers import command_of, flags_of
from shipkeeper.access.controls.host import (
    CONTROL_PLANE,
    KUBELET,
    PROXY,
    USUAL_PLACES,
    HostFile,
    HostSurvey,
    name_of,
)
from shipkeeper.errors import ShipkeeperError
from shipkeeper.hosts.host import Host, Session

_LOOKED_AT = (
    "/etc/kubernetes/manifests/*.yaml",
    "/etc/kubernetes/*.conf",
    "/etc/kubernetes/pki",
    "/etc/kubernetes/pki/*",
    "/etc/kubernetes/pki/*/*",
    "/etc/cni/net.d/*",
    "/etc/systemd/system/kubelet.service.d/*.conf",
    "/usr/lib/systemd/system/kubelet.service.d/*.conf",
    "/lib/systemd/system/kubelet.service.d/*.conf",
    "/var/lib/kube-proxy/*.conf",
)
_MANIFESTS = ("/etc/kubernetes/manifests/*.yaml",)
_FOLDERS = (
    "/etc/kubernetes",
    "/etc/kubernetes/manifests",
    "/etc/kubernetes/pki",
    "/etc/kubernetes/pki/*",
    "/etc/cni/net.d",
    "/var/lib/kubelet",
    "/etc/systemd/system/kubelet.service.d",
    "/usr/lib/systemd/system/kubelet.service.d",
)
_NAMED_BY_FLAGS = ("authorization-config", "authorization-policy-file", "audit-policy-file")
# Of this one no more than the order of its providers: their keys stay where they are.
_ENCRYPTION = "encryption-provider-config"


class SurveyError(ShipkeeperError):
    """A host's files could not be looked at."""


async def survey(host: Host, root: str = "") -> HostSurvey:
    """Look at a host's files, and at what runs on it, under a root directory of it."""
    async with host.session() as session:
        look = _Look(session, host.name, root)
        commands, proxy = await look.processes()
        texts = await look.texts(_MANIFESTS, are_patterns=True)
        found = HostSurvey(host=host.name, texts=texts, commands=commands, proxy_config=proxy)
        config = found.place("kubelet-config")
        flags = _api_server_flags(found)
        named = [config, *(flags[name] for name in _NAMED_BY_FLAGS if name in flags)]
        texts |= await look.texts(named)
        if _ENCRYPTION in flags:
            texts |= await look.providers(flags[_ENCRYPTION])
            named.append(flags[_ENCRYPTION])
        places = {found.place(each) for each in USUAL_PLACES}
        files = await look.files(sorted(places))
        unseen = await look.closed(named)
    return msgspec.structs.replace(found, files=files, unseen=unseen)


def _api_server_flags(found: HostSurvey) -> dict[str, str]:
    for pod in found.static_pods():
        if name_of(pod) == "kube-apiserver":
            return flags_of(command_of(pod.get("spec")))
    return {}


def _file(line: str, root: str) -> HostFile:
    mode, owner, group, path = line.split(" ", 3)
    return HostFile(path=path.removeprefix(root), mode=int(mode, 8), owner=owner, group=group)


def closed_program(root: str, named: Iterable[str] = ()) -> str:
    """A shell program that lists the folders and files that the user may not look into."""
    folders, patterns = (
        " ".join(shlex.quote(root) + pattern for pattern in each) for each in (_FOLDERS, _MANIFESTS)
    )
    files = " ".join(shlex.quote(root + path) for path in named)
    return (
        f'for d in {folders}; do [ -d "$d" ] && {{ [ -r "$d" ] && [ -x "$d" ] || '
        f'printf "%s\\n" "$d"; }}; done; for f in {patterns} {files}; do '
        '[ -e "$f" ] && { [ -r "$f" ] || printf "%s\\n" "$f"; }; done; true'
    )


# Of another mount namespace than the host's own may be a kubelet in a container, which is not its.
_PROCESSES = """
own=$(readlink ROOT/proc/self/ns/mnt)
for p in ROOT/proc/[0-9]*; do
  read -r name < "$p/comm" || continue
  case $name in kubelet|kube-apiserver|kube-controller|kube-scheduler|etcd|kube-proxy) ;;
  *) continue ;; esac
  theirs=$(readlink "$p/ns/mnt")
  [ "$name" = kubelet ] && [ -n "$theirs" ] && [ "$theirs" != "$own" ] && continue
  printf '%s ' "$name"; base64 < "$p/cmdline" | tr -d '\n'
  if [ "$name" = kube-proxy ]; then
    file=$(tr '\0' '\n' < "$p/cmdline" | sed -n 's/^--config=//p' | tail -n 1)
    [ -n "$file" ] && [ -r "$p/root$file" ] && { printf ' '; base64 < "$p/root$file" | tr -d '\n'; }
  fi
  echo
done 2> /dev/null
true
"""


class _Look:
    """A host that is looked at, under a root directory of it."""

    def __init__(self, session: Session, name: str, root: str) -> None:
        self._session = session
        self._name = name
        self._root = root

    async def processes(self) -> tuple[dict[str, tuple[str, ...]], str]:
        """The command lines of Kubernetes' processes by name, and kube-proxy's configuration."""
        commands: dict[str, tuple[str, ...]] = {}
        proxy = ""
        said = await self.run(_PROCESSES.replace("ROOT", shlex.quote(self._root)))
        for line in said.splitlines():
            _, _, encoded = line.partition(" ")
            command, _, config = encoded.partition(" ")
            words = tuple(_decoded(command).rstrip("\0").split("\0"))
            name = words[0].rpartition("/")[2]
            if name in (*CONTROL_PLANE, KUBELET, PROXY):
                commands.setdefault(name, words)
                proxy = _decoded(config) if name == PROXY else proxy
        return commands, proxy

    async def files(self, named: Iterable[str]) -> tuple[HostFile, ...]:
        """Modes and owners of everything that there is."""
        root = shlex.quote(self._root)
        patterns = " ".join(
            (*(root + each for each in _LOOKED_AT), *(root + shlex.quote(each) for each in named))
        )
        listed = await self.run(
            f'for f in {patterns}; do [ -e "$f" ] && stat -L -c \'%a %U %G %n\' "$f"; done; true'
        )
        found = (_file(line, self._root) for line in listed.splitlines())
        return tuple(dict.fromkeys(found))

    async def texts(self, paths: Iterable[str], *, are_patterns: bool = False) -> dict[str, str]:
        """The contents of files that may be read."""
        root = shlex.quote(self._root)
        spelled = " ".join(f"{root}{path if are_patterns else shlex.quote(path)}" for path in paths)
        program = (
            f'for f in {spelled}; do [ -r "$f" ] && '
            '{ base64 < "$f" | tr -d "\\n"; printf " %s\\n" "$f"; }; done; true'
        )
        found: dict[str, str] = {}
        for line in (await self.run(program)).splitlines():
            encoded, _, path = line.partition(" ")
            found[path.removeprefix(self._root)] = _decoded(encoded)
        return found

    async def providers(self, path: str) -> dict[str, str]:
        """The names of the providers of an encryption configuration, in order."""
        program = (
            f"grep -oE '^ *-? *(providers|identity|aesgcm|aescbc|secretbox|kms):' "
            f"{shlex.quote(self._root + path)}; true"
        )
        return {path: await self.run(program)}

    async def closed(self, named: Iterable[str]) -> tuple[str, ...]:
        """What is there and may not be looked into."""
        said = await self.run(closed_program(self._root, named))
        return tuple(path.removeprefix(self._root) for path in said.splitlines())

    async def run(self, program: str) -> str:
        """What a program prints; SurveyError if it fails."""
        chunks: list[bytes] = []
        answer = await self._session.execute(f"export LC_ALL=C; {program}", chunks.append)
        if answer.exit_code:
            raise SurveyError(
                f"cannot look at {self._name}: {answer.errors.strip() or answer.exit_code}",
                reason="SurveyFailed",
                hint="log in as root, or with --sudo",
            )
        return b"".join(chunks).decode("utf-8", "surrogateescape")


def _decoded(encoded: str) -> str:
    return base64.b64decode(encoded).decode("utf-8", "replace")
