"""Flags of the etcd commands: which members, spelled as etcdctl spells them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from shipkeeper.errors import UsageError
from shipkeeper.etcd.rpc import Credentials
from shipkeeper.etcd.static_pod import HEALTH_CLIENT, MANIFEST, StaticPod, decode_static_pod

_MEMBERS = Group("Members of etcd", sort_key=1)
_LOCAL = "https://127.0.0.1:2379"


@Parameter(name="*", group=_MEMBERS)
@dataclass(frozen=True, kw_only=True)
class MemberFlags:
    """Which members to speak to, and the files for mutual TLS."""

    endpoints: Annotated[
        str,
        Parameter(
            env_var="ETCDCTL_ENDPOINTS",
            help="Client URLs, with commas between them ($ETCDCTL_ENDPOINTS).",
        ),
    ] = ""
    cacert: Annotated[
        str,
        Parameter(env_var="ETCDCTL_CACERT", help="The authority of etcd ($ETCDCTL_CACERT)."),
    ] = ""
    cert: Annotated[
        str, Parameter(env_var="ETCDCTL_CERT", help="The client certificate ($ETCDCTL_CERT).")
    ] = ""
    key: Annotated[str, Parameter(env_var="ETCDCTL_KEY", help="Its key ($ETCDCTL_KEY).")] = ""
    manifest: Annotated[
        str,
        Parameter(help=f"Take what is not given from this static pod's manifest ({MANIFEST})."),
    ] = ""

    def members(self) -> tuple[tuple[str, ...], Credentials]:
        """Endpoints and files: as given, else from the manifest, if this host has one."""
        given = tuple(each.strip() for each in self.endpoints.split(",") if each.strip())
        credentials = Credentials(cacert=self.cacert, cert=self.cert, key=self.key)
        if bool(self.cert) != bool(self.key):
            raise UsageError(
                "--cert and --key go together", reason="HalfKeyPair", hint="give both, or neither"
            )
        pod = self._static_pod(is_needed=not given)
        if pod:
            given = given or _endpoints(pod)
            credentials = credentials if self.cert or self.cacert else _credentials(pod)
        return given or (_LOCAL,), credentials

    def _static_pod(self, *, is_needed: bool) -> StaticPod | None:
        path = Path(self.manifest or MANIFEST)
        if not self.manifest and not (is_needed and path.exists()):
            return None
        try:
            return decode_static_pod(path.read_text())
        except OSError as error:
            raise UsageError(
                f"cannot read {path}: {error.strerror}",
                reason="ManifestUnreadable",
                hint="name a manifest that you may read, or the members with --endpoints",
            ) from error


def _endpoints(pod: StaticPod) -> tuple[str, ...]:
    urls = pod.flag("advertise-client-urls") or pod.flag("listen-client-urls", _LOCAL)
    return tuple(urls.split(","))


def _credentials(pod: StaticPod) -> Credentials:
    has_client = Path(HEALTH_CLIENT[1]).exists()
    cacert, cert, key = pod.client(has_health_client=has_client)
    return Credentials(cacert=cacert, cert=cert, key=key)


HERE = MemberFlags()
