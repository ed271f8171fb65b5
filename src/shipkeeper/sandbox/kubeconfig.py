"""Kubeconfigs of a sandbox; each carries its certificates inside."""

import hashlib
import re
from base64 import b64encode
from datetime import datetime
from pathlib import Path

import msgspec

from shipkeeper.sandbox import names
from shipkeeper.sandbox.files import write_private
from shipkeeper.sandbox.keypair import KeyPair, read_pair
from shipkeeper.sandbox.layout import Layout

_NOT_FOR_FILES = re.compile(r"[^A-Za-z0-9._-]+")


def write_kubeconfigs(layout: Layout, server: str) -> None:
    """Write the kubeconfigs of the administrator, the components and the hollow nodes."""
    for owner, (user, _) in names.IDENTITIES.items():
        _write(layout, layout.kubeconfig(owner), server, user, read_pair(layout, owner))


def issue_kubeconfig(
    layout: Layout,
    server: str,
    user: str,
    groups: tuple[str, ...] = (),
    not_after: datetime | None = None,
) -> Path:
    """Write a kubeconfig with a new client certificate of the cluster's authority.

    `not_after` (aware, ten years from now unless given) may lie in the past. UsageError when a
    certificate cannot hold the names.
    """
    # Here and not above: it takes as long as everything else together, and few commands need it.
    from shipkeeper.sandbox.certificates import issue_client

    pair = issue_client(read_pair(layout, names.CLUSTER_CA), user, groups, not_after)
    distinct = hashlib.sha256(pair.certificate).hexdigest()[:8]
    path = layout.issued / f"{_NOT_FOR_FILES.sub('_', user)}-{distinct}.kubeconfig"
    _write(layout, path, server, user, pair)
    return path


def _write(layout: Layout, path: Path, server: str, user: str, pair: KeyPair) -> None:
    cluster = f"shipkeeper-{layout.name}"
    authority = layout.certificate(names.CLUSTER_CA).read_bytes()
    place = {"server": server, "certificate-authority-data": b64encode(authority).decode()}
    login = {
        "client-certificate-data": b64encode(pair.certificate).decode(),
        "client-key-data": b64encode(pair.key).decode(),
    }
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": place}],
        "users": [{"name": user, "user": login}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
        "current-context": cluster,
    }
    write_private(path, msgspec.yaml.encode(content))
