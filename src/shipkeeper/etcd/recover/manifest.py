"""etcd's manifest pointed at the restored data: two lines change, all else stays as it is. Pure."""

import re

from shipkeeper.etcd.errors import EtcdError
from shipkeeper.etcd.static_pod import decode_static_pod

_TOKEN = "initial-cluster-token"  # noqa: S105


def edit_manifest(text: str, data_path: str, token: str) -> str:
    """The manifest with another hostPath for its data, and the token of the new cluster.

    EtcdError unless the result reads back as exactly that.
    """
    pod = decode_static_pod(text)
    edited = _with_token(_with_path(text, pod.data_path, data_path), token)
    found = decode_static_pod(edited)
    if (found.data_path, found.flag(_TOKEN)) != (data_path, token) or (
        {**found.flags, _TOKEN: ""} != {**pod.flags, _TOKEN: ""}
    ):
        raise EtcdError(
            f"the manifest's volume for {pod.data_path} cannot be told from its other lines",
            reason="ManifestUnclear",
            hint="write it as kubeadm does: hostPath with path on a line of its own",
        )
    return edited


def _with_path(text: str, old: str, new: str) -> str:
    pattern = rf"^(\s*path:\s*[\"']?){re.escape(old)}([\"']?\s*(?:#.*)?)$"
    return re.sub(pattern, lambda found: f"{found[1]}{new}{found[2]}", text, flags=re.MULTILINE)


def _with_token(text: str, token: str) -> str:
    flag = rf"^(\s*- )--{_TOKEN}=\S+"
    replaced, count = re.subn(
        flag, lambda found: f"{found[1]}--{_TOKEN}={token}", text, flags=re.MULTILINE
    )
    if count:
        return replaced
    return re.sub(
        r"^(\s*- )--initial-cluster=.*$",
        lambda found: f"{found[0]}\n{found[1].lstrip(chr(10))}--{_TOKEN}={token}",
        text,
        count=1,
        flags=re.MULTILINE,
    )
