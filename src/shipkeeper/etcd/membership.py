"""Members of a new cluster: their names, URLs and IDs. Pure.

IDs are computed as etcd does it, so that every member that is restored apart comes to the same ones
(etcd-io/etcd, server/etcdserver/api/membership).
"""

import hashlib
from typing import Final
from urllib.parse import urlsplit

import msgspec

from shipkeeper.errors import UsageError

DEFAULT_NAME: Final = "default"
DEFAULT_TOKEN: Final = "etcd-cluster"  # noqa: S105
DEFAULT_PEER_URL: Final = "http://localhost:2380"


class NewMember(msgspec.Struct, frozen=True, kw_only=True):
    """A member that is to be."""

    id: int
    name: str
    peer_urls: tuple[str, ...]

    def encode(self) -> bytes:
        """The member as JSON, as etcd keeps it."""
        return msgspec.json.encode({"id": self.id, "peerURLs": self.peer_urls, "name": self.name})

    @property
    def key(self) -> bytes:
        """Its key in the bucket of members."""
        return f"{self.id:x}".encode()


class NewCluster(msgspec.Struct, frozen=True, kw_only=True):
    """The members that are to be, in the order of their IDs."""

    id: int
    members: tuple[NewMember, ...]

    def member(self, name: str) -> NewMember | None:
        """The member of one name."""
        return next((member for member in self.members if member.name == name), None)


def parse_initial_cluster(text: str, token: str) -> NewCluster:
    """The cluster that `--initial-cluster` describes (`name=url,name=url`); UsageError if none."""
    urls: dict[str, list[str]] = {}
    for word in filter(None, (each.strip() for each in text.split(","))):
        name, equals, url = word.partition("=")
        if not (name and equals):
            raise _bad(f"{word!r} in --initial-cluster is no NAME=URL")
        urls.setdefault(name, []).append(checked_url(url))
    if not urls:
        raise _bad("--initial-cluster names no member")
    every = [url for each in urls.values() for url in each]
    if len(set(every)) < len(every):
        raise _bad("two members of --initial-cluster have the same URL")
    members = (_member(name, tuple(sorted(each)), token) for name, each in urls.items())
    ordered = tuple(sorted(members, key=lambda member: member.id))
    return NewCluster(id=_hash(b"".join(_big(member.id) for member in ordered)), members=ordered)


def require_member(cluster: NewCluster, name: str, advertised: tuple[str, ...]) -> NewMember:
    """The member that is restored; UsageError unless name and URLs are those of the cluster."""
    member = cluster.member(name)
    if member is None:
        names = ", ".join(sorted(each.name for each in cluster.members))
        raise _bad(f"--initial-cluster has no member {name!r}, only {names}")
    if tuple(sorted(advertised)) != member.peer_urls:
        raise _bad(
            f"--initial-advertise-peer-urls ({','.join(advertised)}) are not those of {name} in "
            f"--initial-cluster ({','.join(member.peer_urls)})"
        )
    return member


def checked_url(url: str) -> str:
    """A peer's URL; UsageError for anything else."""
    parts = urlsplit(url)
    try:
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname and parts.port)
    except ValueError:
        is_good = False
    if not is_good or parts.path not in ("", "/"):
        raise _bad(f"{url!r} is no URL of a peer")
    return url.rstrip("/")


def _member(name: str, urls: tuple[str, ...], token: str) -> NewMember:
    return NewMember(id=_hash("".join(urls).encode() + token.encode()), name=name, peer_urls=urls)


def _hash(data: bytes) -> int:
    return int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest()[:8], "big")


def _big(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _bad(message: str) -> UsageError:
    return UsageError(
        message,
        reason="InvalidCluster",
        hint="give all members the same --initial-cluster, such as m1=https://10.0.0.1:2380",
    )
