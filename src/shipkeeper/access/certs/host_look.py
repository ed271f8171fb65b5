"""Looking at a host's certificates by one shell program: no private key leaves the host.

Of a file only its certificates are sent; of a kubeconfig only the lines that hold no secret; of a
key only the digest of its public half, which the host's own openssl works out.
"""

import base64
import shlex
import time
from collections.abc import Iterable

from shipkeeper.access.authorizers import flags_of
from shipkeeper.access.certs.host import KUBELET_CONFIG, MANIFESTS, HostFile, HostLook, Process
from shipkeeper.access.survey import SurveyError
from shipkeeper.hosts.host import Session

_CERTIFICATES = (
    "/etc/kubernetes/pki/*.crt",
    "/etc/kubernetes/pki/etcd/*.crt",
    "/var/lib/kubelet/pki/kubelet.crt",
    "/var/lib/kubelet/pki/kubelet-client-current.pem",
    "/var/lib/kubelet/pki/kubelet-server-current.pem",
)
_KUBECONFIGS = ("/etc/kubernetes/*.conf",)
_COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "kubelet")
_CERTIFICATE_FLAGS = (
    *("tls-cert-file", "kubelet-client-certificate", "etcd-certfile", "proxy-client-cert-file"),
    *("client-ca-file", "etcd-cafile", "requestheader-client-ca-file", "cert-file"),
    *("peer-cert-file", "trusted-ca-file", "peer-trusted-ca-file", "root-ca-file"),
    *("cluster-signing-cert-file", "kubelet-certificate-authority"),
)
_KUBECONFIG_FLAGS = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
_SETTINGS = (
    "certificate-authority-data|certificate-authority|client-certificate-data"
    "|client-certificate|server|tls-server-name"
)

_PROGRAM = r"""
export LC_ALL=C
VALUE=': *"?([^" ]+)"? *$'
encoded() { base64 | tr -d '\n'; }
digest() { openssl pkey -pubout -outform DER 2>/dev/null | openssl dgst -sha256 -r 2>/dev/null |
  cut -c1-64; }
has_openssl() { command -v openssl >/dev/null 2>&1; }
written() { stat -L -c %Y "$1"; }
certificate() {
  [ -e "$1" ] || return 0
  [ -r "$1" ] || { printf 'closed %s\n' "$1"; return 0; }
  pem=$(sed -n '/-BEGIN CERTIFICATE-/,/-END CERTIFICATE-/p' "$1" | encoded)
  key="${1%.crt}.key"; [ "$1" = "${1%.crt}" ] && key="$1"
  found=-
  if has_openssl && [ -r "$key" ] && grep -q 'PRIVATE KEY' "$key"; then found=$(digest <"$key"); fi
  printf 'file %s %s %s %s\n' "${pem:--}" "$(written "$1")" "${found:--}" "$1"
}
kubeconfig() {
  [ -e "$1" ] || return 0
  [ -r "$1" ] || { printf 'closed %s\n' "$1"; return 0; }
  lines=$(sed -nE "s/^[ -]*(SETTINGS)$VALUE/\1 \2/p" "$1" | encoded)
  found=-
  key=$(sed -nE "s/^ *client-key-data$VALUE/\1/p" "$1" | head -n 1)
  if has_openssl && [ -n "$key" ]; then
    found=$(printf %s "$key" | base64 -d 2>/dev/null | digest)
  fi
  printf 'config %s %s %s %s\n' "${lines:--}" "$(written "$1")" "${found:--}" "$1"
}
text() { [ -r "$1" ] && printf 'text %s %s\n' "$(encoded <"$1")" "$1"; return 0; }
process() {
  name=$(tr '\0' '\n' <"$1/cmdline" 2>/dev/null | head -n 1)
  case " COMPONENTS " in *" ${name##*/} "*) ;; *) return 0 ;; esac
  ticks=$(sed 's/.*) //' "$1/stat" | cut -d ' ' -f 20)
  booted=$(sed -n 's/^btime //p' /proc/stat)
  printf 'process %s %s %s\n' "$((booted + ticks / $(getconf CLK_TCK)))" \
    "$(encoded <"$1/cmdline")" "${name##*/}"
}
printf 'clock %s\n' "$(date +%s.%N)"
has_openssl || printf 'no-openssl\n'
"""


async def look_at_host(session: Session, name: str, root: str = "") -> HostLook:
    """Look at a host, under a root directory of it; SurveyError if that cannot be."""
    texts = _glob(root, (f"{MANIFESTS}/*.yaml", KUBELET_CONFIG))
    found = await _run(
        session,
        name,
        root,
        f'for f in {_glob(root, _CERTIFICATES)}; do certificate "$f"; done\n'
        f'for f in {_glob(root, _KUBECONFIGS)}; do kubeconfig "$f"; done\n'
        f'for f in {texts}; do text "$f"; done\n'
        f'for p in {_glob(root, ("/proc/[0-9]*",))}; do process "$p"; done\n',
    )
    more = _named(found)
    if not more:
        return found
    certificates = " ".join(shlex.quote(root + each) for each in more["certificate"])
    configs = " ".join(shlex.quote(root + each) for each in more["kubeconfig"])
    others = await _run(
        session,
        name,
        root,
        f'for f in {certificates}; do certificate "$f"; done\n'
        f'for f in {configs}; do kubeconfig "$f"; done\n',
    )
    files = {each.path: each for each in (*found.files, *others.files)}
    return HostLook(
        name=name,
        files=tuple(files.values()),
        processes=found.processes,
        manifests=found.manifests,
        kubelet_config=found.kubelet_config,
        skew=found.skew,
        has_openssl=found.has_openssl,
    )


def _named(found: HostLook) -> dict[str, list[str]]:
    """The files that components are told to use, beyond those already seen."""
    known = {each.path for each in found.files}
    flags = [flags for each in _COMPONENTS if (flags := found.flags(each))]
    certificates = [one[name] for one in flags for name in _CERTIFICATE_FLAGS if name in one]
    configs = [one[name] for one in flags for name in _KUBECONFIG_FLAGS if name in one]
    linked = [
        each.lines[name]
        for each in found.files
        for name in ("client-certificate", "certificate-authority")
        if name in each.lines
    ]
    kubelet = found.kubelet().get("tlsCertFile") or ""
    wanted = {
        "certificate": sorted({*certificates, *linked, kubelet} - known - {""}),
        "kubeconfig": sorted(set(configs) - known - {""}),
    }
    return wanted if any(wanted.values()) else {}


def _glob(root: str, patterns: Iterable[str]) -> str:
    return " ".join(f"{shlex.quote(root)}{pattern}" for pattern in patterns)


async def _run(session: Session, name: str, root: str, program: str) -> HostLook:
    chunks: list[bytes] = []
    prelude = _PROGRAM.replace("SETTINGS", _SETTINGS).replace("COMPONENTS", " ".join(_COMPONENTS))
    before = time.time()
    answer = await session.execute(f"{prelude}{program}true", chunks.append)
    if answer.exit_code:
        raise SurveyError(
            f"cannot look at the certificates of {name}: "
            f"{answer.errors.strip() or answer.exit_code}",
            reason="SurveyFailed",
            hint="log in as root, or with --sudo",
        )
    text = b"".join(chunks).decode("utf-8", "surrogateescape")
    return _read(name, root, text.splitlines(), between=(before, time.time()))


def _read(name: str, root: str, lines: Iterable[str], between: tuple[float, float]) -> HostLook:
    files: list[HostFile] = []
    processes: list[Process] = []
    texts: dict[str, str] = {}
    skew, has_openssl = 0.0, True
    for line in lines:
        tag, _, rest = line.partition(" ")
        match tag:
            case "file" | "config":
                files.append(_file(tag, rest, root))
            case "closed":
                files.append(HostFile(path=rest.removeprefix(root), is_readable=False))
            case "text":
                encoded, _, path = rest.partition(" ")
                texts[path.removeprefix(root)] = _decoded(encoded).decode("utf-8", "replace")
            case "process":
                processes.append(_process(rest))
            case "clock":
                skew = _beyond(float(rest), *between)
            case "no-openssl":
                has_openssl = False
            case _:
                continue
    kubelet = texts.pop(KUBELET_CONFIG, "")
    return HostLook(
        name=name,
        files=tuple(files),
        processes=tuple(processes),
        manifests=texts,
        kubelet_config=kubelet,
        skew=skew,
        has_openssl=has_openssl,
    )


def _file(tag: str, rest: str, root: str) -> HostFile:
    content, written, digest, path = rest.split(" ", 3)
    decoded = _decoded(content)
    lines: dict[str, str] = {}
    if tag == "config":
        for line in decoded.decode("utf-8", "replace").splitlines():
            key, _, value = line.partition(" ")
            # Of several contexts the first: kubeadm writes one alone.
            lines.setdefault(key, value)
        decoded = b""
    return HostFile(
        path=path.removeprefix(root),
        pem=decoded,
        written=float(written),
        key_digest="" if digest == "-" else digest,
        lines=lines,
        is_kubeconfig=tag == "config",
    )


def _process(rest: str) -> Process:
    since, encoded, name = rest.split(" ", 2)
    words = _decoded(encoded).decode("utf-8", "replace").split("\0")
    return Process(name=name, since=float(since), flags=flags_of(words))


def _decoded(text: str) -> bytes:
    return b"" if text == "-" else base64.b64decode(text)


def _beyond(clock: float, before: float, after: float) -> float:
    """How far a clock that was read between two moments is ahead of both, or (negative) behind."""
    if clock > after:
        return clock - after
    return min(clock - before, 0.0)
