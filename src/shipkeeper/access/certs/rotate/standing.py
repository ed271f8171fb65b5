"""How far the rotation of an authority has come, by what lies on hosts. Pure."""

import base64
from collections.abc import Iterable, Iterator
from enum import StrEnum

import msgspec

from shipkeeper.access.certs.certificate import Certificate, parse_pem
from shipkeeper.access.certs.host import HostFile, HostLook
from shipkeeper.access.certs.renew.leaves import (
    API_SERVER,
    CONTROLLER_MANAGER,
    Authority,
    chain_of,
    signers_of,
    trusted_by,
)

SIGNING = "cluster-signing-cert-file"
_SIGNING_KEY = "cluster-signing-key-file"


class Stage(StrEnum):
    """What a rotation is made of, in this order."""

    TRUST = "trust"
    MOVE = "move"
    DROP = "drop"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What a host keeps of a rotation from stage to stage.

    `cross` is the new authority as the old one signed it: who trusts the old one alone is led to
    the new one by it. `published` is when pods were told of both (Unix seconds).
    """

    old: Certificate | None = None
    new: Certificate | None = None
    cross: Certificate | None = None
    has_key: bool = False
    published: float = 0.0


def read_kept(said: str) -> Kept:
    """What `programs.kept` printed."""
    found: dict[str, Certificate] = {}
    digest, published = "", 0.0
    for line in said.splitlines():
        name, _, value = line.partition(" ")
        if name in ("old", "new", "cross") and value:
            found[name] = parse_pem(base64.b64decode(value))[0]
        elif name == "key":
            digest = value
        elif name == "published":
            published = float(value)
    new = found.get("new")
    has_key = new is not None and digest == new.key_digest
    return Kept(**found, has_key=has_key, published=published)


def standing_of(look: HostLook, authority: Authority, kept: Kept) -> Stage | None:
    """The last stage that a control-plane host has gone through, None before the first.

    ValueError if what lies there is no stage at all.
    """
    signer = signers_of(look).get(authority)
    chain = [each.fingerprint for each in signer.chain] if signer else []
    new = kept.new.fingerprint if kept.new else ""
    old = kept.old.fingerprint if kept.old else ""
    if len(chain) == 1 and chain[0] != new:
        return None
    stages: dict[tuple[str, ...], Stage] = {
        (old, new): Stage.TRUST,
        (new, old): Stage.MOVE,
        (new,): Stage.DROP,
    }
    found = stages.get(tuple(chain))
    if found is None or not new:
        raise ValueError(f"{signer.path if signer else authority} holds what no stage leaves there")
    return found


def next_stage(standing: Stage | None) -> Stage:
    """The stage that follows."""
    stages = list(Stage)
    return stages[0] if standing is None else stages[min(stages.index(standing) + 1, 2)]


def trusting_files(look: HostLook, authorities: Iterable[Certificate]) -> Iterator[HostFile]:
    """The files by which a host trusts an authority; that of the signer alone is left out."""
    known = {each.fingerprint for each in authorities}
    alone = signing_file(look)
    for file in look.files:
        chain = () if file.is_kubeconfig else chain_of(file)
        is_trusting = any(each.fingerprint in known for each in chain)
        # A chain that a server presents has a leaf at its head.
        if is_trusting and file.path != alone and all(each.is_authority for each in chain):
            yield file


def trusting_configs(look: HostLook, authorities: Iterable[Certificate]) -> Iterator[HostFile]:
    """The kubeconfigs by which a host trusts an authority."""
    known = {each.fingerprint for each in authorities}
    for file in look.files:
        if file.is_kubeconfig and any(each.fingerprint in known for each in trusted_by(file)):
            yield file


def signing_file(look: HostLook) -> str:
    """The file that the controller manager signs by and nobody trusts by, empty if it is shared."""
    flags = look.flags(CONTROLLER_MANAGER) or {}
    path = flags.get(SIGNING, "")
    trusted = {flags.get("root-ca-file"), flags.get("client-ca-file")}
    trusted.add((look.flags(API_SERVER) or {}).get("client-ca-file"))
    return "" if path in trusted else path


def signing_key(look: HostLook, default: str) -> str:
    """The key that the controller manager signs by."""
    return (look.flags(CONTROLLER_MANAGER) or {}).get(_SIGNING_KEY, default)
