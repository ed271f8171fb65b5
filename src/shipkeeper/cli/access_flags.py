"""Flags of the access commands: whose policy is meant, and about whom is asked."""

from dataclasses import dataclass
from typing import Annotated

import msgspec
from cyclopts import Group, Parameter

from shipkeeper.access.attributes import User, authenticated
from shipkeeper.errors import UsageError
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import ApiError

_POLICY = Group("Whose policy", sort_key=1)
_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

Namespace = Annotated[str, Parameter(name=("--namespace", "-n"), help="The namespace.")]
Subresource = Annotated[str, Parameter(help="A subresource, such as log or exec.")]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class WhoFlags:
    """About whom is asked."""

    as_: Annotated[
        str, Parameter(name="--as", help="The user asked about; oneself if not given.")
    ] = ""
    as_group: Annotated[
        tuple[str, ...], Parameter(name="--as-group", help="A group of the user; may be repeated.")
    ] = ()


ONESELF = WhoFlags()


@Parameter(name="*", group=_POLICY)
@dataclass(frozen=True, kw_only=True)
class PolicyFlags:
    """A cluster's policy: live, from manifests, or out of a backup or a snapshot of etcd."""

    from_: Annotated[
        str, Parameter(name="--from", help="A folder (or file) of manifests, not the cluster.")
    ] = ""
    backup: Annotated[str, Parameter(help="A backup, or latest, not the cluster.")] = ""
    snapshot: Annotated[
        str, Parameter(help="A snapshot of etcd (a file, repo:NAME, repo:latest), not the cluster.")
    ] = ""
    encryption_provider_config: Annotated[
        str, Parameter(help="As the API server's flag, to open what a snapshot has encrypted.")
    ] = ""
    kubernetes_version: Annotated[
        str,
        Parameter(help="The version of --from (else the newest) or --snapshot (else its nodes')."),
    ] = ""
    authorization_mode: Annotated[str, Parameter(help="As the API server's flag.")] = ""
    authorization_config: Annotated[str, Parameter(help="A copy of the API server's file.")] = ""
    abac_file: Annotated[str, Parameter(help="A copy of the API server's ABAC policy.")] = ""
    api_server_manifest: Annotated[
        str, Parameter(help="A copy of the API server's static pod, to take its flags from.")
    ] = ""
    kubeconfig: Annotated[str, Parameter(help="Path to the kubeconfig file.")] = ""
    context: Annotated[str, Parameter(help="The kubeconfig context to use.")] = ""

    @property
    def is_live(self) -> bool:
        """Whether the cluster itself is asked."""
        return not (self.from_ or self.backup or self.snapshot)

    def options(self) -> ConnectionOptions:
        """What the connection is opened with, if there is one."""
        return ConnectionOptions(kubeconfig=self.kubeconfig, context=self.context)


LIVE = PolicyFlags()


class _UserInfo(msgspec.Struct, frozen=True):
    username: str = ""
    groups: tuple[str, ...] = ()


class _SelfStatus(msgspec.Struct, frozen=True, rename="camel"):
    user_info: _UserInfo = _UserInfo()


class _SelfReview(msgspec.Struct, frozen=True):
    status: _SelfStatus = _SelfStatus()


async def asked_user(who: WhoFlags, connection: Connection | None) -> User:
    """Who is asked about: whoever is named with their implicit groups, else oneself."""
    if who.as_:
        return authenticated(who.as_, who.as_group)
    if connection is None:
        raise UsageError(
            "nobody is named to ask about",
            reason="NoSubject",
            hint="name a user with --as, and groups with --as-group",
        )
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = await connection.send("POST", _REVIEWS, body=body)
    except ApiError as error:
        raise UsageError(
            "this cluster does not tell who one is (Kubernetes 1.28 and newer do)",
            reason="NoSubject",
            hint="name a user with --as, and groups with --as-group",
        ) from error
    found = msgspec.json.decode(answer, type=_SelfReview).status.user_info
    return User(name=found.username, groups=found.groups)
