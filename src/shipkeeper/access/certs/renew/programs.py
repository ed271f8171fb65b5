"""What runs on hosts; each program may be run again after it was cut off. Pure.

A run's folder on a host holds `new`, the files to be put in place by their whole paths, and `old`,
what was there before, modes and owners kept. Manifests are put into place by a rename, and taken
away, never written over: the kubelet overlooks names that begin with a dot.
"""

import shlex
from collections.abc import Iterable
from typing import Final

from shipkeeper.access.certs.host import MANIFESTS

_HEAD: Final = r"""
set -eu
umask 077
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
fail() { echo "shipkeeper: $*" >&2; exit 70; }
runs() { grep -qsx "$(printf %.15s "$1")" /proc/[0-9]*/comm; }
gone() { ! runs "$1"; }
await() { # seconds, what is waited for, command...
    end=$(($(cut -d. -f1 /proc/uptime) + $1)); what=$2; shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$(cut -d. -f1 /proc/uptime)" -lt "$end" ] || fail "$what"
        sleep 0.2
    done
}
keep() { # a file, into the backup as it is: once
    if test -e "$1" && test ! -e "$D/old$1"; then
        mkdir -p "$D/old${1%/*}"
        cp -pL "$1" "$D/old$1.part"
        sync "$D/old$1.part"
        mv "$D/old$1.part" "$D/old$1"
    fi
}
place() { # a file, in the place of another: at once, with the mode and the owner of that
    target=$(readlink -f "$2" || echo "$2")
    beside="${target%/*}/.${target##*/}.shipkeeper"
    cp -p "$1" "$beside"
    if test -e "$target"; then
        chown --reference="$target" "$beside"
        chmod --reference="$target" "$beside"
    fi
    sync "$beside"
    mv -f "$beside" "$target"
}
removed() { if test -e "$D/remove"; then cat "$D/remove"; fi; }
files() { (cd "$1" 2>/dev/null && find . -type f ! -path "*/manifests/*" | sed 's/^\.//') || :; }
"""


_ALONE: Final = r"""
mkdir -p "$D"
exec 9>"$D/lock"
flock -w 600 9 || fail "a command of another run goes on here: $D/lock"
"""


def program(folder: str, *lines: str) -> str:
    """A program that knows its run's folder; a shell that gets only a part does nothing.

    What was started before by somebody who was killed meanwhile goes on there: its end is awaited.
    """
    alone = (_ALONE,) if folder else ()
    return "\n".join(("{", f"D={shlex.quote(folder)}", _HEAD, *alone, *lines, "}", ""))


def survey() -> str:
    """Print which tools there are, and the manifests that a run has taken away and not put back."""
    return program(
        "",
        "for tool in kubeadm kubectl openssl unshare systemctl; do",
        '    if command -v $tool >/dev/null; then echo "tool $tool"; fi',
        "done",
        "if kubeadm certs renew --help >/dev/null 2>&1; then echo 'kubeadm certs'; "
        "elif kubeadm alpha certs renew --help >/dev/null 2>&1; then "
        "echo 'kubeadm alpha certs'; fi",
        f"test -d {MANIFESTS} && echo 'manifests' || :",
        f"for file in /etc/kubernetes/renew-*/old{MANIFESTS}/*.yaml "
        f"/etc/kubernetes/rotate-*/old{MANIFESTS}/*.yaml /etc/kubernetes/recover-*/*.yaml; do",
        f'    if test -e "$file" && test ! -e {MANIFESTS}/"${{file##*/}}"; then',
        '        echo "away $file"; fi; done',
        r"df -Pk /etc/kubernetes | sed -n '2s/^[^ ]* *[0-9]* *[0-9]* *\([0-9]*\).*/free \1/p'",
    )


def stop(folder: str, name: str, seconds: float) -> str:
    """Take a static pod's manifest away, kept in the backup, and wait until its process ended."""
    return program(
        folder,
        f"keep {MANIFESTS}/{name}.yaml",
        f'test -e "$D/old{MANIFESTS}/{name}.yaml" || fail "there is no manifest of {name}"',
        f"rm -f {MANIFESTS}/{name}.yaml",
        f"await {seconds:.0f} '{name} does not end' gone {name}",
    )


def start(folder: str, name: str, seconds: float, *, old: bool = False) -> str:
    """Put a manifest in place, the new one if there is one, and wait for its process."""
    manifest = f"{MANIFESTS}/{name}.yaml"
    source = f'"$D/old{manifest}"'
    newest = f'test ! -e "$D/new{manifest}" || source="$D/new{manifest}"' if not old else ":"
    return program(
        folder,
        f"source={source}",
        newest,
        f"if test ! -e {manifest} && test -e $source; then",
        f"    cp -p $source {MANIFESTS}/.{name}.shipkeeper",
        f"    chmod --reference={source} {MANIFESTS}/.{name}.shipkeeper",
        f"    chown --reference={source} {MANIFESTS}/.{name}.shipkeeper",
        f"    mv {MANIFESTS}/.{name}.shipkeeper {manifest}",
        "fi",
        f"await {seconds:.0f} 'the kubelet does not start {name}' runs {name}",
    )


def install(folder: str) -> str:
    """Put every new file in place, what was there kept in the backup."""
    return program(
        folder,
        'files "$D/new" | while read -r file; do keep "$file"; done',
        # Written whole before anything is put into place: only what it names is taken away again.
        'if test ! -e "$D/absent"; then',
        '    files "$D/new" | while read -r file; do',
        '        test -e "$D/old$file" || echo "$file"; done >"$D/absent.part"',
        '    sync "$D/absent.part"',
        '    mv "$D/absent.part" "$D/absent"',
        "fi",
        'files "$D/new" | while read -r file; do place "$D/new$file" "$file"; done',
        'removed | while read -r file; do keep "$file"; rm -f "$file"; done',
    )


def restore(folder: str) -> str:
    """Put back what was there, and take away what was not.

    Of an installation that was cut off, or found no room, some files may not even be kept yet.
    """
    return program(
        folder,
        'files "$D/new" | while read -r file; do',
        '    if test -e "$D/old$file"; then',
        # A disk that is full has no room for a copy of what is as it was.
        '        cmp -s "$D/old$file" "$file" || place "$D/old$file" "$file"',
        '    elif grep -qsxF -e "$file" "$D/absent"; then rm -f "$file"; fi',
        "done",
        "removed | while read -r file; do",
        '    if test -e "$D/old$file" && test ! -e "$file"; then cp -p "$D/old$file" "$file"; fi',
        "done",
    )


def is_touched(folder: str) -> str:
    """Print a word if anything was put away, or into place, by a run."""
    return program(folder, 'if test -d "$D/old"; then echo touched; fi')


def forget(folder: str) -> str:
    """Remove a run's folder, at once: half of one would be taken for less than was kept."""
    return program(folder, 'rm -rf "$D.gone"', 'mv "$D" "$D.gone"', 'rm -rf "$D.gone"')


def restart_kubelet(folder: str) -> str:
    """Let the kubelet read its files anew."""
    return program(folder, "systemctl restart kubelet", "await 60 'no kubelet' runs kubelet")


def ready_by_kubectl(kubeconfig: str, server: str) -> str:
    """Fail unless the API server says that it is ready, asked as an administrator."""
    return program(
        "",
        f"kubectl --kubeconfig={shlex.quote(kubeconfig)} --server={shlex.quote(server)} "
        "get --raw /readyz --request-timeout=5s >/dev/null",
    )


def stage_by_kubeadm(folder: str, command: str, names: Iterable[str], files: Iterable[str]) -> str:
    """Let kubeadm renew copies: in a mount namespace where a copy is at /etc/kubernetes.

    `files` are the certificates and kubeconfigs. The authorities' keys are not copied: they are
    only to be seen there.
    """
    leaves = " ".join(map(shlex.quote, files))
    renewals = "\n".join(f"{command} renew {name} >&2 || exit 71" for name in names)
    return program(
        folder,
        'W="$D/work"; rm -rf "$W" "$D/new"; mkdir -p "$W" "$D/new"',
        "cd /etc/kubernetes",
        # Authorities' certificates, every kubeconfig, the leaves and their keys.
        "find -L . -path './pki/*' -name '*ca.crt' -type f -exec cp -Lp --parents {} \"$W\" \\;",
        'cp -Lp ./*.conf "$W"',
        f"for file in {leaves}; do case $file in *.crt)",
        '    key="${file%.crt}.key"',
        '    cp -Lp --parents ".${file#/etc/kubernetes}" ".${key#/etc/kubernetes}" "$W";; esac',
        "done",
        "cat >$D/renew <<'end-of-renewal'",
        "set -eu",
        'cd /etc/kubernetes; find -L pki -name "*ca.key" -type f | while read -r key; do',
        '    : >"$W/$key"; mount --bind "$PWD/$key" "$W/$key"',
        "done",
        'mount --rbind "$W" /etc/kubernetes',
        "cd /",
        renewals,
        "end-of-renewal",
        'W="$W" unshare --mount sh "$D/renew" 2>"$D/said" || '
        'fail "kubeadm: $(grep -v "^\\[" "$D/said" | tail -n 3)"',
        'rm "$D/renew" "$D/said"',
        f"for file in {leaves}; do",
        '    mkdir -p "$D/new${file%/*}"',
        '    mv "$W${file#/etc/kubernetes}" "$D/new$file"',
        '    case $file in *.crt) key="${file%.crt}.key"',
        '        mv "$W${key#/etc/kubernetes}" "$D/new$key";; esac',
        "done",
        'rm -rf "$W"',
    )
