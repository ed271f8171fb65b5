"""The protocol of kubectl's credential plugins (client.authentication.k8s.io). Pure."""

from datetime import datetime

import msgspec

from shipkeeper.errors import UsageError

_GROUP = "client.authentication.k8s.io"
_VERSIONS = (f"{_GROUP}/v1", f"{_GROUP}/v1beta1")


class _Info(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str = _VERSIONS[0]


def asked_version(info: str) -> str:
    """The version that KUBERNETES_EXEC_INFO asks for; v1 where nothing is said."""
    try:
        version = msgspec.json.decode(info, type=_Info).api_version if info else _VERSIONS[0]
    except msgspec.DecodeError as error:
        raise UsageError(
            f"KUBERNETES_EXEC_INFO makes no sense: {error}",
            reason="NoExecInfo",
            hint="run it by kubectl, or unset that variable",
        ) from error
    if version not in _VERSIONS:
        raise UsageError(
            f"this client asks for {version}",
            reason="UnknownVersion",
            hint=f"put apiVersion: {_VERSIONS[0]} into the kubeconfig's exec section",
        )
    return version


def credential(version: str, token: str, ends: datetime) -> str:
    """An ExecCredential with a token."""
    value = {
        "apiVersion": version,
        "kind": "ExecCredential",
        "status": {"token": token, "expirationTimestamp": f"{ends:%Y-%m-%dT%H:%M:%SZ}"},
    }
    return msgspec.json.encode(value).decode() + "\n"
