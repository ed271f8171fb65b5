"""What a rotation runs on hosts. Pure.

The folder `keep` holds the new authority from stage to stage. Its key reaches the other hosts of
the control plane encrypted for each of them: it never is in the clear anywhere else.
"""

import shlex
from collections.abc import Iterable
from typing import Final

from shipkeeper.access.certs.host import MANIFESTS
from shipkeeper.access.certs.renew.leaves import CONTROLLER_MANAGER
from shipkeeper.access.certs.renew.openssl import FUNCTIONS
from shipkeeper.access.certs.renew.profile import Period
from shipkeeper.access.certs.renew.programs import program

_CIPHER: Final = "aes-256-cbc"


def kept(keep: str) -> str:
    """Print the authorities that are kept, the digest of the new key's public half, and when."""
    return program(
        "",
        f"K={shlex.quote(keep)}",
        "for name in old new cross; do",
        '    test ! -s "$K/$name.crt" || '
        'printf "%s %s\\n" $name "$(base64 <"$K/$name.crt" | tr -d \'\\n\')"',
        "done",
        'if test -s "$K/new.key"; then',
        '    printf "key "; openssl pkey -in "$K/new.key" -pubout -outform DER |',
        "        openssl dgst -sha256 -r | cut -c1-64",
        "fi",
        'if test -s "$K/published"; then printf "published %s\\n" "$(cat "$K/published")"; fi',
    )


def make_authority(
    keep: str,
    old: tuple[str, str],
    key: tuple[str, str],
    name: str,
    profile: str,
    valid: Period,
    cross_end: str,
) -> str:
    """Make a new authority, unless it was made: by itself, and signed by the old one, too.

    `old` are the old one's files, `key` is how the new key is made.
    """
    certificate, old_key = map(shlex.quote, old)
    algorithm, option = key
    return program(
        keep,
        FUNCTIONS,
        'if test ! -s "$D/new.crt"; then',
        'rm -rf "$W"; mkdir -p "$W"',
        "cat >$W/profile <<'end-of-profile'",
        profile,
        "[req]\ndistinguished_name = subject\nprompt = no\n[subject]",
        f"CN = {name}",
        "end-of-profile",
        f"cp -pL {certificate} $D/old.crt",
        f"new_key $D/new.key {algorithm} '{option}'",
        "openssl_ req -new -config $W/profile -key $D/new.key -out $W/request",
        f"sign $W/request $D/cross.crt {certificate} {old_key} {valid.start} {cross_end} "
        "$W/profile",
        f"sign $W/request $W/new.crt '' $D/new.key {valid.start} {valid.end} $W/profile",
        "sync $D/new.key $D/cross.crt $W/new.crt",
        # The last: it says that all of it is there.
        'mv $W/new.crt $D/new.crt; rm -rf "$W"',
        "fi",
    )


def receive(keep: str) -> str:
    """Print a certificate that a key may be encrypted for; its own key stays on the host."""
    return program(
        keep,
        FUNCTIONS,
        'rm -rf "$W"; mkdir -p "$W"',
        "printf '[req]\\ndistinguished_name = subject\\nprompt = no\\n[subject]\\nCN = transfer\\n'"
        " >$W/profile",
        "openssl_ req -x509 -config $W/profile -newkey rsa:3072 -nodes -keyout $W/transfer.key "
        "-out $W/transfer.crt -days 1",
        "cat $W/transfer.crt",
    )


def send(keep: str, receiver: str) -> str:
    """Print the new authority's key, encrypted for the host that `receiver` (PEM) is of."""
    return program(
        keep,
        FUNCTIONS,
        'mkdir -p "$W"',
        "cat >$W/receiver.crt <<'end-of-receiver'",
        receiver.strip(),
        "end-of-receiver",
        f"openssl_ cms -encrypt -binary -{_CIPHER} -in $D/new.key -outform PEM $W/receiver.crt",
        'rm -rf "$W"',
    )


def take(keep: str, sealed: str, certificates: dict[str, str]) -> str:
    """Take the encrypted key, and the certificates beside it."""
    lines: list[str] = []
    for name, pem in certificates.items():
        lines += [f"cat >$W/{name}.crt <<'end-of-{name}'", pem.strip(), f"end-of-{name}"]
    return program(
        keep,
        FUNCTIONS,
        "cat >$W/sealed <<'end-of-sealed'",
        sealed.strip(),
        "end-of-sealed",
        "openssl_ cms -decrypt -binary -inform PEM -in $W/sealed -inkey $W/transfer.key "
        "-recip $W/transfer.crt -out $D/new.key",
        *lines,
        "sync $D/new.key",
        *(f"mv $W/{name}.crt $D/{name}.crt" for name in certificates),
        'rm -rf "$W"',
    )


def publish(keep: str) -> str:
    """Note the moment from which on pods are told of both authorities, once."""
    return program(keep, 'test -s "$D/published" || date +%s >"$D/published"')


def stage(folder: str, *lines: str) -> str:
    """Make new files beside those in use."""
    return program(
        folder,
        FUNCTIONS,
        'rm -rf "$W" "$D/new" "$D/remove"; mkdir -p "$W" "$D/new"',
        *lines,
        'rm -rf "$W"',
    )


def put_text(path: str, text: str, mode: str = "644") -> tuple[str, ...]:
    """The lines that make a new file of a text."""
    target = f"$D/new{shlex.quote(path)}"
    return (
        *_folder(path),
        f"cat >{target} <<'end-of-text'",
        text.strip(),
        "end-of-text",
        f"chmod {mode} {target}",
    )


def put_copy(path: str, source: str) -> tuple[str, ...]:
    """The lines that make a new file of another file of the host."""
    return (*_folder(path), f"cp {shlex.quote(source)} $D/new{shlex.quote(path)}")


def put_trust(path: str, bundle: str) -> tuple[str, ...]:
    """The lines that have a kubeconfig trust a bundle; there must be one cluster in it."""
    config = shlex.quote(path)
    return (
        *_folder(path),
        f"test $(grep -c 'certificate-authority-data:' {config}) = 1 || "
        f"fail '{path} has more than one cluster'",
        f"test -e $D/new{config} || cp -pL {config} $D/new{config}",
        "cat >$W/bundle <<'end-of-bundle'",
        bundle.strip(),
        "end-of-bundle",
        f"set_setting $D/new{config} certificate-authority-data $W/bundle",
    )


def put_leaf_alone(path: str) -> tuple[str, ...]:
    """The lines that leave of a chain its first certificate."""
    file = shlex.quote(path)
    return (*_folder(path), f"openssl_ x509 -in {file} -out $D/new{file}; chmod 644 $D/new{file}")


def put_signing_flag(old: str, new: str) -> tuple[str, ...]:
    """The lines that have the controller manager sign by another file, for every signer."""
    manifest = f"{MANIFESTS}/{CONTROLLER_MANAGER}.yaml"
    pattern = rf"s|^\( *- --cluster-signing-[a-z-]*cert-file\)={old}$|\1={new}|"
    return (
        *_folder(manifest),
        f"sed {shlex.quote(pattern)} {manifest} >$D/new{manifest}",
        f"grep -q -- '-file={new}$' $D/new{manifest} || fail 'the flag of {manifest} is unclear'",
    )


def remove(paths: Iterable[str]) -> tuple[str, ...]:
    """The lines that name files to be taken away."""
    return tuple(f"echo {shlex.quote(each)} >>$D/remove" for each in paths)


def ask_for_kubelet(folder: str, path: str, key: tuple[str, str]) -> str:
    """Make a new key for a certificate of the kubelet's, and print the request for the like."""
    algorithm, option = key
    name = path.rpartition("/")[2]
    return program(
        folder,
        FUNCTIONS,
        'mkdir -p "$W"',
        f"new_key $W/{name}.key {algorithm} '{option}'",
        f"openssl_ x509 -in {shlex.quote(path)} -out $W/old",
        f"like $W/old $W/{name}.key $W/request",
        "cat $W/request",
    )


def sign_request(keep: str, request: str, profile: str, valid: Period) -> str:
    """Sign a request by the new authority, and print the certificate."""
    return program(
        keep,
        FUNCTIONS,
        'W=$(mktemp -d "$D/sign.XXXXXX"); export W',
        "cat >$W/request <<'end-of-request'",
        request.strip(),
        "end-of-request",
        "cat >$W/profile <<'end-of-profile'",
        profile,
        "end-of-profile",
        f"sign $W/request $W/made $D/new.crt $D/new.key {valid.start} {valid.end} $W/profile",
        'cat $W/made; rm -rf "$W"',
    )


def take_for_kubelet(folder: str, path: str, certificate: str) -> str:
    """Put a certificate and its key into one file, as the kubelet has them."""
    name = path.rpartition("/")[2]
    target = f"$D/new{shlex.quote(path)}"
    return program(
        folder,
        FUNCTIONS,
        *put_text(path, certificate, "600"),
        f"cat $W/{name}.key >>{target}",
        f"rm $W/{name}.key",
    )


def _folder(path: str) -> tuple[str, ...]:
    return (f"mkdir -p $D/new{shlex.quote(path.rpartition('/')[0])}",)
