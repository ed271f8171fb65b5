"""Flags of the access commands: whose policy is meant, and about whom is asked."""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import yaml
from cyclopts import Group, Parameter

from shipkeeper.access.assembly import Manifest, from_manifests
from shipkeeper.access.attributes import User, authenticated
from shipkeeper.access.authorizers import (
    ChainConfig,
    command_of,
    flags_of,
    from_flags,
)
from shipkeeper.access.kinds import EVERY_KIND, PolicyKind
from shipkeeper.access.observe import DECISIVE, observe, read_folder
from shipkeeper.access.policy import NEWEST, Policy
from shipkeeper.backup.archive import open_archive
from shipkeeper.backup.opening import open_repository
from shipkeeper.backup.selection import Selection
from shipkeeper.cli.backup_flags import RepositoryFlags
from shipkeeper.errors import UsageError
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.errors import ApiError
from shipkeeper.model.version import Version

_POLICY = Group("Whose policy", sort_key=1)
_REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"

As = Annotated[str, Parameter(name="--as", help="The user asked about; oneself if not given.")]
AsGroup = Annotated[
    tuple[str, ...], Parameter(name="--as-group", help="A group of the user; may be repeated.")
]
Namespace = Annotated[str, Parameter(name=("--namespace", "-n"), help="The namespace.")]
Subresource = Annotated[str, Parameter(help="A subresource, such as log or exec.")]


@Parameter(name="*", group=_POLICY)
@dataclass(frozen=True, kw_only=True)
class PolicyFlags:
    """A cluster's policy: live, from manifests, or out of a backup."""

    from_: Annotated[
        str, Parameter(name="--from", help="A folder (or file) of manifests, not the cluster.")
    ] = ""
    backup: Annotated[str, Parameter(help="A backup, or latest, not the cluster.")] = ""
    kubernetes_version: Annotated[
        str, Parameter(help="The version that --from is for; the newest if not given.")
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
        return not (self.from_ or self.backup)

    def options(self) -> ConnectionOptions:
        """What the connection is opened with, if there is one."""
        return ConnectionOptions(kubeconfig=self.kubeconfig, context=self.context)


LIVE = PolicyFlags()


@asynccontextmanager
async def opened_policy(
    flags: PolicyFlags, repository: RepositoryFlags, wanted: Iterable[PolicyKind] = DECISIVE
) -> AsyncGenerator[tuple[Policy, Connection | None]]:
    """The policy that flags mean, and the connection that it was read over."""
    if flags.from_ and flags.backup:
        raise UsageError(
            "cannot take the policy from manifests and a backup at once",
            reason="AmbiguousPolicy",
            hint="leave --from or --backup out",
        )
    if not flags.is_live:
        yield with_chain(await _stored(flags, repository), flags), None
        return
    async with connect(flags.options()) as connection:
        yield with_chain(await observe(connection, wanted), flags), connection


async def _stored(flags: PolicyFlags, repository: RepositoryFlags) -> Policy:
    if flags.from_:
        version = flags.kubernetes_version
        return read_folder(Path(flags.from_), Version.parse(version) if version else NEWEST)
    return await policy_of_backup(flags.backup, repository)


async def policy_of_backup(name: str, repository: RepositoryFlags) -> Policy:
    """The policy that a backup holds."""
    kinds = tuple(kind.name for kind in EVERY_KIND)
    manifests: list[Manifest] = []
    async with open_repository(repository.place(), reads=True) as opened:
        archive = await open_archive(opened, name)
        for _, manifest in await archive.find(Selection(kinds=kinds)):
            manifests.append(manifest)
        source = f"backup {archive.backup.name}"
        version = Version.parse(archive.contents.version)
    return from_manifests(manifests, source=source, version=version)


def with_chain(policy: Policy, flags: PolicyFlags) -> Policy:
    """The policy with the authorizers that flags give, if they give any."""
    chain = _given_chain(flags)
    if chain is None and flags.abac_file:
        chain = msgspec.structs.replace(policy.chain, abac=_text(flags.abac_file))
        return msgspec.structs.replace(policy, chain=chain)
    if chain is None:
        return policy
    return msgspec.structs.replace(policy, chain=chain, is_chain_known=True)


def _given_chain(flags: PolicyFlags) -> ChainConfig | None:
    files: dict[str, str] = {}
    words: dict[str, str] = {}
    if flags.api_server_manifest:
        manifest: Any = yaml.load(_text(flags.api_server_manifest), Loader=yaml.CSafeLoader)
        words = flags_of(command_of(manifest.get("spec") or {}))
    if flags.authorization_mode:
        words["authorization-mode"] = flags.authorization_mode
    # What is given stands for the file of the same purpose on the API server's host.
    for flag, given in (
        ("authorization-config", flags.authorization_config),
        ("authorization-policy-file", flags.abac_file),
    ):
        if given:
            path = words.setdefault(flag, given)
            files[path] = _text(given)
    if flags.authorization_mode and "Webhook" in flags.authorization_mode:
        words.setdefault("authorization-webhook-config-file", "not needed here")
    has_chain = flags.authorization_mode or flags.authorization_config or flags.api_server_manifest
    return from_flags(words, files) if has_chain else None


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read {path}: {error}", reason="NoFile", hint="name a file that you may read"
        ) from error


class _UserInfo(msgspec.Struct, frozen=True):
    username: str = ""
    groups: tuple[str, ...] = ()


class _SelfStatus(msgspec.Struct, frozen=True, rename="camel"):
    user_info: _UserInfo = _UserInfo()


class _SelfReview(msgspec.Struct, frozen=True):
    status: _SelfStatus = _SelfStatus()


async def asked_user(as_: str, groups: tuple[str, ...], connection: Connection | None) -> User:
    """Who is asked about: whoever is named with their implicit groups, else oneself."""
    if as_:
        return authenticated(as_, groups)
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
