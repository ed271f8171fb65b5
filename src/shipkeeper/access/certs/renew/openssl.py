"""Programs that make certificates by the host's own OpenSSL: no key leaves the host. Pure."""

import shlex
from collections.abc import Iterable
from typing import Final

import msgspec

from shipkeeper.access.certs.certificate import Certificate
from shipkeeper.access.certs.renew.leaves import Leaf
from shipkeeper.access.certs.renew.profile import Period, configuration, key_words
from shipkeeper.access.certs.renew.programs import program

FUNCTIONS: Final = r"""
export W="$D/work" OPENSSL_CONF=/dev/null
openssl_() { openssl "$@" 2>"$W/said" || fail "openssl: $(tail -n 2 "$W/said" | tr '\n' ' ')"; }
new_key() { # file, algorithm, option
    openssl_ genpkey -algorithm "$2" ${3:+-pkeyopt "$3"} -out "$1"
}
sign() { # request, certificate to make, authority (none: itself), key, start, end, configuration
    : >"$W/index"
    rm -f "$W/index.attr"
    openssl_ rand -hex -out "$W/random" 16
    # A serial number is positive: its first bit is not set.
    sed 's/^./7/' "$W/random" >"$W/serial"
    if test -n "$3"; then set -- "$@" -cert "$3"; else set -- "$@" -selfsign; fi
    request=$1 made=$2 key=$4 start=$5 end=$6 profile=$7
    shift 7
    openssl_ ca -batch -notext -preserveDN -config "$profile" "$@" -keyfile "$key" \
        -in "$request" -out "$made" -startdate "$start" -enddate "$end"
}
like() { # old certificate, its new key, request to make
    openssl_ x509 -x509toreq -in "$1" -signkey "$2" -out "$3"
}
setting() { # kubeconfig, name: its value from base64
    sed -nE "s/^[ -]*$2: *\"?([^\" ]+)\"? *\$/\1/p" "$1" | head -n 1 | base64 -d
}
set_setting() { # kubeconfig, name, file: its value becomes that file, in base64
    # By a file: what a program is told shows in the process list.
    printf 's|^\\([ -]*%s: *\\).*|\\1%s|\n' "$2" "$(base64 <"$3" | tr -d '\n')" >"$W/script"
    sed -f "$W/script" "$1" >"$W/edited"
    cat "$W/edited" >"$1"
    rm "$W/script" "$W/edited"
}
"""


class Signing(msgspec.Struct, frozen=True, kw_only=True):
    """Who signs and from when to when: the authority's files, and what its first certificate is."""

    path: str
    key_path: str
    certificate: Certificate
    valid: Period


def stage_by_openssl(folder: str, leaves: Iterable[tuple[Leaf, Signing]], *before: str) -> str:
    """Make new keys, and certificates like the old ones, beside those in use."""
    return program(
        folder,
        FUNCTIONS,
        'rm -rf "$W" "$D/new"; mkdir -p "$W" "$D/new"',
        *before,
        *(line for each in leaves for line in renewal(*each)),
        'rm -rf "$W"',
    )


def renewal(leaf: Leaf, by: Signing) -> tuple[str, ...]:
    """The lines that renew one leaf into the folder `new`."""
    algorithm, option = key_words(leaf.certificate) or ("", "")
    path, new_key = shlex.quote(leaf.path), shlex.quote(leaf.key_path)
    signing = (
        f"sign $W/request $W/made {shlex.quote(by.path)} {shlex.quote(by.key_path)} "
        f"{by.valid.start} {by.valid.end} $W/profile"
    )
    made = (
        f"new_key $W/key {algorithm} '{option}'",
        "cat >$W/profile <<'end-of-profile'",
        configuration(leaf.certificate, by.certificate),
        "end-of-profile",
    )
    folder = f"mkdir -p $D/new{shlex.quote(leaf.path.rpartition('/')[0])}"
    if leaf.is_kubeconfig:
        return (
            folder,
            *made,
            f"setting {path} client-certificate-data >$W/old",
            "like $W/old $W/key $W/request",
            signing,
            f"test -e $D/new{path} || cp -pL {path} $D/new{path}",
            f"set_setting $D/new{path} client-certificate-data $W/made",
            f"set_setting $D/new{path} client-key-data $W/key",
        )
    return (
        folder,
        *made,
        f"like {path} $W/key $W/request",
        signing,
        f"mv $W/made $D/new{path}; chmod 644 $D/new{path}",
        f"mv $W/key $D/new{new_key}",
    )
