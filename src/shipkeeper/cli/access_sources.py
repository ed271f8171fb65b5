"""Where a policy is read: live, from manifests, out of a backup or a snapshot of etcd."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from shipkeeper.access.assembly import (
    Manifest,
    from_manifests,
    with_known_chain,
    with_unread,
)
from shipkeeper.access.authorizers import ChainConfig, command_of, flags_of, from_flags
from shipkeeper.access.kinds import AUDIT_KINDS, EVERY_KIND, POD, PolicyKind
from shipkeeper.access.observe import DECISIVE, observe, read_folder
from shipkeeper.access.policy import NEWEST, Policy, Unread
from shipkeeper.backup.archive import open_archive
from shipkeeper.backup.contents import Contents
from shipkeeper.backup.opening import open_repository
from shipkeeper.backup.selection import Selection
from shipkeeper.cli.access_flags import PolicyFlags
from shipkeeper.cli.backup_flags import RepositoryFlags
from shipkeeper.cli.etcd_reading import ReadingFlags, browsing
from shipkeeper.errors import UsageError
from shipkeeper.etcd.errors import DamagedError, EtcdError
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.model.documents import document
from shipkeeper.model.version import Version


@asynccontextmanager
async def opened_policy(
    flags: PolicyFlags, repository: RepositoryFlags, wanted: Iterable[PolicyKind] = DECISIVE
) -> AsyncGenerator[tuple[Policy, Connection | None]]:
    """The policy that flags mean, and the connection that it was read over."""
    if sum(map(bool, (flags.from_, flags.backup, flags.snapshot))) > 1:
        raise UsageError(
            "cannot take the policy from several places at once",
            reason="AmbiguousPolicy",
            hint="leave all but one of --from, --backup and --snapshot out",
        )
    if not flags.is_live:
        yield with_chain(await _stored(flags, repository), flags), None
        return
    async with connect(flags.options()) as connection:
        yield with_chain(await observe(connection, wanted), flags), connection


async def _stored(flags: PolicyFlags, repository: RepositoryFlags) -> Policy:
    version = flags.kubernetes_version
    if flags.from_:
        known = Version.parse(version) if version else NEWEST
        return _with_absent(read_folder(Path(flags.from_), known))
    if flags.snapshot:
        return await policy_of_snapshot(flags.snapshot, flags, repository)
    return await policy_of_backup(flags.backup, repository)


def _with_absent(policy: Policy) -> Policy:
    """Manifests are of what one keeps as files: what they have none of, the cluster may have."""
    absent = (each for each in AUDIT_KINDS if not policy.of_kind(each.kind))
    pods = () if policy.pods else (POD,)
    return with_unread(policy, (*pods, *absent), f"{policy.source} has none")


async def policy_of_backup(name: str, repository: RepositoryFlags) -> Policy:
    """The policy that a backup holds; what it was not made of is not known to be absent."""
    async with open_repository(repository.place(), reads=True) as opened:
        archive = await open_archive(opened, name)
        kinds = tuple(kind.name for kind in EVERY_KIND)
        found = await archive.find(Selection(kinds=kinds))
    policy = from_manifests(
        (manifest for _, manifest in found),
        source=f"backup {archive.backup.name}",
        version=Version.parse(archive.contents.version),
    )
    return with_unread(policy, _left_out(archive.contents), f"{policy.source} was not made of all")


def _left_out(contents: Contents) -> Iterator[PolicyKind]:
    """The kinds of which the cluster may have more than its backup."""
    chosen = msgspec.structs.replace(contents.selection, kinds=(), not_kinds=())
    held = {each.kind.group_kind for each in contents.kinds}
    for kind in EVERY_KIND:
        # A kind of no objects is held neither; it was chosen if everything was, and read.
        is_held = (kind.group, kind.kind) in held or (
            contents.selection.is_everything and not contents.unreadable
        )
        if not (is_held and chosen.is_everything):
            yield kind


async def policy_of_snapshot(file: str, flags: PolicyFlags, repository: RepositoryFlags) -> Policy:
    """The policy that a snapshot of etcd holds; what is encrypted takes its keys.

    UsageError for a file that is no snapshot.
    """
    try:
        # In a thread, for one of a repository is fetched by a loop of its own.
        return await asyncio.to_thread(_policy_of_snapshot, file, flags, repository)
    except DamagedError as error:
        # Elsewhere damage is a finding; here nothing was found, for nothing could be looked at.
        raise UsageError(
            f"{file} is no snapshot of etcd: {error.message}", reason=error.reason, hint=error.hint
        ) from error


def _policy_of_snapshot(file: str, flags: PolicyFlags, repository: RepositoryFlags) -> Policy:
    reading = ReadingFlags(
        encryption_provider_config=flags.encryption_provider_config,
        kubernetes_version=flags.kubernetes_version,
    )
    manifests: list[Manifest] = []
    unread: list[Unread] = []
    with browsing(file, reading, repository) as browser:
        for kind in EVERY_KIND:
            try:
                manifests += browser.manifests(kind.plural)
            except EtcdError as error:
                unread.append(Unread(what=kind.kind, why=error.message, is_failure=True))
        known = Version(1, browser.minor(), 0)
    source = f"snapshot {Path(file).name}"
    return from_manifests(manifests, source=source, version=known, unread=tuple(unread))


def with_chain(policy: Policy, flags: PolicyFlags) -> Policy:
    """The policy with the authorizers that flags give, if they give any."""
    chain = _given_chain(flags)
    if chain is None and flags.abac_file:
        chain = msgspec.structs.replace(policy.chain, abac=_text(flags.abac_file))
        return msgspec.structs.replace(policy, chain=chain)
    return policy if chain is None else with_known_chain(policy, chain)


def _given_chain(flags: PolicyFlags) -> ChainConfig | None:
    files: dict[str, str] = {}
    words: dict[str, str] = {}
    if flags.api_server_manifest:
        words = _flags_of_manifest(flags.api_server_manifest)
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


def _flags_of_manifest(path: str) -> dict[str, str]:
    """The flags of an API server's static pod; UsageError if the file tells none."""
    try:
        pod = msgspec.convert(document(_text(path)), type=dict[str, Any])
        words = flags_of(command_of(pod.get("spec")))
        why = "" if words else "no container of it has flags"
    except ValueError as error:
        words, why = {}, str(error)
    if not words:
        raise UsageError(
            f"{path} is no manifest of an API server: {why}",
            reason="BadManifest",
            hint="name a copy of its static pod, usually manifests/kube-apiserver.yaml",
        )
    return words


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read {path}: {error}", reason="NoFile", hint="name a file that you may read"
        ) from error
