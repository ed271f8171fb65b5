"""What runs on control-plane hosts; each program may be run again after it was cut off. Pure.

Manifests are moved, never copied over: the kubelet sees a file or it does not. It overlooks names
that begin with a dot. A program of somebody who was killed may still reach its host after the way
back: without the run's folder, or with the old manifest in use, it does nothing.
"""

import shlex
from typing import Final

MANIFESTS: Final = "/etc/kubernetes/manifests"
API_SERVER: Final = "kube-apiserver"
ETCD: Final = "etcd"
ABSENT: Final = ": No such file or directory"
"""How a host's kernel says ENOENT; whatever else it says, a file may be there."""
_RECOVERED: Final = "shipkeeper.dev/recovered"
_PATTERN: Final = _RECOVERED.replace(".", "[.]").replace("/", "[/]")
# How many seconds a wait may take, as a variable of the shell; see `patient`.
_WAIT: Final = "$patience"

# Processes are looked at: the kubelet's mirror pods lag behind by up to a minute.
_HEAD: Final = r"""
set -eu
umask 077
export KUBECONFIG=/etc/kubernetes/admin.conf
fail() { echo "shipkeeper: $*" >&2; exit 70; }
runs() { grep -qsx "$1" /proc/[0-9]*/comm; }
await() { # seconds, what is waited for, command...
    end=$(($(cut -d. -f1 /proc/uptime) + $1)); what=$2; shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$(cut -d. -f1 /proc/uptime)" -lt "$end" ] || fail "$what"
        sleep 0.2
    done
}
gone() { ! runs "$1"; }
healthy() {
    bash -c 'exec 3<>"/dev/tcp/$0/$1" || exit 1
        printf "GET /health HTTP/1.0\r\n\r\n" >&3; cat <&3' "$1" "$2" | grep -q '"health": *"true"'
}
flag() { sed -n "s/^ *- --$1=//p" "$manifests/kube-apiserver.yaml" | tr -d '"' | head -n 1; }
ready() { # of this host, not of whichever the kubeconfig's address leads to
    address=$(flag advertise-address) port=$(flag secure-port)
    case $address in *:*) address="[$address]";; esac
    kubectl get --raw /readyz --request-timeout=5s \
        ${address:+"--server=https://$address:${port:-6443}"}
}
"""


def _program(*lines: str) -> str:
    # One compound command: a shell that gets only a part of it executes nothing.
    return "\n".join(("{", f"manifests={MANIFESTS}", _HEAD, *lines, "}", ""))


def patient(program: str, seconds: float) -> str:
    """A program whose waits take at most so long."""
    return f"patience={seconds:.0f}\n{program}"


def look() -> str:
    """Print the room beside the data in KiB, whether the API server is a static pod, etcd's."""
    return _program(
        "for tool in bash sha256sum kubectl; do command -v $tool >/dev/null || "
        'fail "there is no $tool on this host"; done',
        "df -Pk /var/lib | awk 'NR==2 {print $4}'",
        "for left in /etc/kubernetes/recover-*/*.yaml; do test ! -e $left || case $left in "
        '*/kube-apiserver.yaml) fail "a recovery is under way: $left";; esac; done',
        f"test -e {MANIFESTS}/{API_SERVER}.yaml || fail 'kube-apiserver is no static pod here'",
        f"cat {MANIFESTS}/{ETCD}.yaml",
    )


def take_file(path: str) -> str:
    """Write the input into a file and bring it to disk; print its SHA-256."""
    name = shlex.quote(path)
    return (
        f'umask 077; mkdir -p "$(dirname {name})" && cat >{name} && sync {name} && '
        f"sha256sum <{name}"
    )


def fetch(path: str) -> str:
    """Print a file; the last word is ABSENT if, and only if, it is certain that there is none."""
    return f"LC_ALL=C cat {shlex.quote(path)}"


def discard(folder: str) -> str:
    """Remove what was brought to the host."""
    return _program(f"rm -rf {shlex.quote(folder)}")


def clear(aside: str) -> str:
    """Remove a run's folder; with a manifest that lies aside in it, it stays."""
    return _program(f"rm -f {aside}/{ETCD}.new", f"test ! -e {aside} || rmdir {aside}")


def stop(name: str, aside: str) -> str:
    """Move a manifest aside, and wait until its process has ended."""
    return _program(
        f"test -d {aside} || fail 'there is no {aside}: the recovery was given up'",
        # What stands there when the old one is aside is the new one, of an attempt before this.
        f"if test -e {aside}/{name}.yaml; then rm -f {MANIFESTS}/{name}.yaml; "
        f"else mv {MANIFESTS}/{name}.yaml {aside}/{name}.yaml; fi",
        f"await {_WAIT} '{name} does not end' gone {name}",
    )


def put_back(name: str, aside: str) -> str:
    """Put a manifest back where it was, if it was moved."""
    return _program(
        f"test ! -e {aside}/{name}.yaml || mv {aside}/{name}.yaml {MANIFESTS}/{name}.yaml"
    )


def start_api_server(aside: str) -> str:
    """Put the API server's manifest back, with the name of the recovery in an annotation.

    The kubelet lets a pod that ended wait the longer, up to five minutes, the more often it did, as
    an API server without etcd does over and over; with another manifest it is another pod. One that
    is written in another way than kubeadm's is put back as it is.
    """
    kept, hidden = f"{aside}/{API_SERVER}.yaml", f"{MANIFESTS}/.{API_SERVER}.new"
    line = f'{_RECOVERED}: "{aside.rpartition("/")[2]}"'
    return _program(
        f"if test -e {kept}; then",
        f"cp -p {kept} {hidden}",
        f"sed -e '/^    {_PATTERN}: /d' -e 's|^  annotations: *$|&\\n    {line}|' {kept} >{hidden}",
        # What kubectl cannot read, the kubelet cannot either.
        f"kubectl annotate --local --overwrite -f {hidden} {_RECOVERED}=read -o name >/dev/null || "
        f"cp -p {kept} {hidden}",
        f"mv {hidden} {MANIFESTS}/{API_SERVER}.yaml",
        f"rm {kept}",
        "fi",
    )


def start_new(aside: str) -> str:
    """Let the kubelet start etcd on the restored data, and wait for its process."""
    return _program(
        f"test -e {aside}/{ETCD}.yaml || fail 'the old etcd is in use: the recovery was given up'",
        f"cp {aside}/{ETCD}.new {MANIFESTS}/.{ETCD}.new",
        f"mv {MANIFESTS}/.{ETCD}.new {MANIFESTS}/{ETCD}.yaml",
        f"await {_WAIT} 'the kubelet does not start etcd' runs {ETCD}",
    )


def stop_new(aside: str) -> str:
    """Take the new etcd away again, if the old one's manifest is still aside."""
    return _program(
        f"test -e {aside}/{ETCD}.yaml || exit 0",
        f"rm -f {MANIFESTS}/{ETCD}.yaml",
        f"await {_WAIT} 'the new etcd does not end' gone {ETCD}",
    )


def is_healthy(host: str, port: int) -> str:
    """Fail unless etcd has a quorum and the API server is ready at this moment."""
    return _program(
        f"healthy {shlex.quote(host)} {port} || fail 'etcd is not healthy'",
        "ready >/dev/null",
    )


def await_healthy(host: str, port: int) -> str:
    """Wait until a read that needs a quorum is answered."""
    return _program(f"await {_WAIT} 'etcd has no quorum' healthy {shlex.quote(host)} {port}")


def await_api_server() -> str:
    """Wait until the API server of this host is ready."""
    return _program(
        f"await {_WAIT} 'kube-apiserver does not start' runs {API_SERVER}",
        f"await {_WAIT} 'kube-apiserver is not ready' ready",
    )


def prove(name: str) -> str:
    """Write, read and watch; then see controllers work on what was written.

    The account controller's objects in a new namespace, and the namespace's end, are seen only when
    controllers' caches follow the new revisions.
    """
    mark = f"namespace/{name}"
    return _program(
        "watched=$(mktemp)",
        # That of an attempt before may be on its way out, and takes no writes until it is gone.
        f"fresh() {{ kubectl create namespace {name} || "
        f'[ "$(kubectl get {mark} -o jsonpath={{.status.phase}})" = Active ]; }}',
        f"await {_WAIT} 'no namespace can be made to write into' fresh",
        f"kubectl get configmaps -n {name} --watch -o name >$watched 2>&1 & watching=$!",
        f"trap 'kill $watching 2>/dev/null || :; rm -f $watched; "
        f"kubectl delete {mark} --wait=false >/dev/null 2>&1 || :' EXIT",
        f"kubectl create configmap probe -n {name} --dry-run=client -o yaml | "
        "kubectl apply -f - >/dev/null || fail 'the API server does not take writes'",
        f"await 60 'the API server does not read back' kubectl get configmap probe -n {name}",
        "await 60 'watches tell nothing' grep -q configmap/probe $watched",
        f"await {_WAIT} 'the controller manager does not catch up' "
        f"kubectl get serviceaccount default -n {name}",
        f"kubectl delete {mark} --wait=false >/dev/null",
        f"ended() {{ kubectl get {mark} 2>&1 | grep -q NotFound; }}",
        f"await {_WAIT} 'the namespace controller does not catch up' ended",
    )
