"""What the manifest of etcd's static pod says: where the member listens, its files. Pure."""

from typing import Any, Final, cast
from urllib.parse import urlsplit

import msgspec

from shipkeeper.etcd.errors import EtcdError

MANIFEST: Final = "/etc/kubernetes/manifests/etcd.yaml"
"""Where kubeadm puts it."""
HEALTH_CLIENT: Final = (
    "/etc/kubernetes/pki/etcd/ca.crt",
    "/etc/kubernetes/pki/etcd/healthcheck-client.crt",
    "/etc/kubernetes/pki/etcd/healthcheck-client.key",
)
"""kubeadm's client for health checks: authority, certificate, key."""
_PORT: Final = 2379


class StaticPod(msgspec.Struct, frozen=True, kw_only=True):
    """The flags of a member that runs as a static pod, without their dashes."""

    flags: dict[str, str]
    image: str
    data_path: str

    def flag(self, name: str, default: str = "") -> str:
        """The value of one flag."""
        return self.flags.get(name, default)

    @property
    def port(self) -> int:
        """Where the member takes clients on its host's loopback."""
        urls = [urlsplit(url) for url in self.flag("listen-client-urls").split(",")]
        local = [url.port for url in urls if url.hostname in ("127.0.0.1", "localhost", "0.0.0.0")]  # noqa: S104
        return next((port for port in local if port), _PORT)

    def client(self, *, has_health_client: bool) -> tuple[str, str, str]:
        """The files to speak to the member with: authority, certificate, key.

        kubeadm's client for health checks where there is one, else the member's own pair.
        """
        _, certificate, key = HEALTH_CLIENT
        if not has_health_client:
            certificate, key = self.flag("cert-file"), self.flag("key-file")
        return self.flag("trusted-ca-file"), certificate, key


class _Shape(msgspec.Struct, frozen=True):
    kind: str
    spec: dict[str, Any]


def decode_static_pod(text: str) -> StaticPod:
    """Read the manifest; EtcdError when it is not that of an etcd."""
    try:
        spec = msgspec.convert(msgspec.yaml.decode(text), type=_Shape).spec
        container = next(each for each in spec["containers"] if each["name"] == "etcd")
        words = [*container.get("command", ()), *container.get("args", ())]
    except (msgspec.MsgspecError, KeyError, TypeError, StopIteration) as error:
        raise EtcdError(
            "the manifest is not that of etcd's static pod",
            reason="NoStaticPod",
            hint="name the members with --endpoints, and the files for TLS",
        ) from error
    flags = dict(
        cast("str", word)[2:].split("=", 1)
        for word in words
        if word.startswith("--") and "=" in word
    )
    return StaticPod(
        flags=flags, image=container.get("image", ""), data_path=_data_path(spec, flags)
    )


def _data_path(spec: dict[str, Any], flags: dict[str, str]) -> str:
    """Where the data lies on the host: the hostPath that is mounted at --data-dir."""
    wanted = flags.get("data-dir", "/var/lib/etcd")
    container = next(each for each in spec["containers"] if each["name"] == "etcd")
    mounted = {each["mountPath"]: each["name"] for each in container.get("volumeMounts", ())}
    paths = {
        each["name"]: each["hostPath"]["path"]
        for each in spec.get("volumes", ())
        if "hostPath" in each
    }
    return paths.get(mounted.get(wanted, ""), wanted)
