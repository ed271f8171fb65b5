"""`shipkeeper etcd save`: a snapshot of a member, into a file or into the backup repository."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import Group, Parameter

from shipkeeper.cli.control_plane_flags import NOWHERE, ControlPlaneFlags
from shipkeeper.cli.etcd_flags import HERE, MemberFlags
from shipkeeper.cli.output import say, show, write
from shipkeeper.cli.output_flags import ClientDryRun, Output
from shipkeeper.engine.report import Report
from shipkeeper.errors import UsageError
from shipkeeper.etcd import save as saving
from shipkeeper.etcd.errors import EtcdError
from shipkeeper.etcd.rpc import Credentials
from shipkeeper.etcd.save import Progress, Saved
from shipkeeper.etcd.status_report import human_size
from shipkeeper.hosts.errors import HostError

if TYPE_CHECKING:
    from shipkeeper.hosts.ssh import SshHost

_DRAW_EVERY = 0.2  # seconds
_WRITE_EVERY = 5.0
_INTO = Group("Into a repository", sort_key=2)

Save = Callable[[tuple[str, ...], Credentials, Progress], Awaitable[Saved]]
"""Saves from the first of some endpoints that gives a whole snapshot."""


@Parameter(name="*", group=_INTO)
@dataclass(frozen=True, kw_only=True)
class IntoFlags:
    """The repository to save into, if it is not a file."""

    into: Annotated[
        str,
        Parameter(help="A backup repository instead of a file: a folder, s3://bucket/prefix, …"),
    ] = ""
    repo_endpoint: Annotated[
        str, Parameter(help="The object store's URL, if not the vendor's.")
    ] = ""
    repo_key: Annotated[
        str,
        Parameter(
            env_var="SHIPKEEPER_KEY", help="The key file to add backups with ($SHIPKEEPER_KEY)."
        ),
    ] = ""


A_FILE = IntoFlags()


def save(
    file: Path | None = None,
    /,
    *,
    dry_run: ClientDryRun = "none",
    output: Output = None,
    members: MemberFlags = HERE,
    through: ControlPlaneFlags = NOWHERE,
    repository: IntoFlags = A_FILE,
) -> None:
    """Save a snapshot of a member into a file or a backup repository, over mutual TLS.

    It appears when it is whole and its sha256 was checked; a file is readable by its owner alone.
    When the stream breaks, the next of the endpoints is asked. With --host the member is reached
    through SSH, with the files for TLS that lie on its host.
    """
    if (file is None) is not bool(repository.into):
        raise UsageError(
            "a snapshot goes into a file or into a repository",
            reason="NoTarget",
            hint="name a file, or a repository with --into",
        )
    if through.host and (members.endpoints or members.cert or members.cacert):
        raise UsageError(
            "--host finds the member and its files itself",
            reason="TwoWays",
            hint="leave out --host, or --endpoints, --cacert, --cert, --key (and $ETCDCTL_…)",
        )
    target = f"snapshot {file}" if file else f"snapshot of etcd in {repository.into}"
    if dry_run == "client":
        source = ", ".join(through.host) or members.members()[0][0]
        write(f"{target} saved from {source} (dry run)\n")
        return
    with _progress() as progress:
        saved = _saved(file, members, through, repository, progress)
    where = f"snapshot {file}" if file else f"snapshot {saved.path} of {repository.into}"
    said = f"{where} saved from {saved.endpoint}: {human_size(saved.size)}, sha256 checked"
    name = file.name if file else saved.path
    show(Report(value=saved, body=(said,), names=(f"snapshot/{name}",)), output)


def _saved(
    file: Path | None,
    members: MemberFlags,
    through: ControlPlaneFlags,
    repository: IntoFlags,
    progress: Progress,
) -> Saved:
    if file and not through.host:
        # Without a loop around it Ctrl-C ends it at once.
        return saving.save(*members.members(), file, say=say, progress=progress)
    save_one = _into_file(file) if file else _into_repository(repository)
    if through.host:
        return asyncio.run(_through(through.in_turn(), members.manifest, save_one, progress))

    async def directly() -> Saved:
        return await save_one(*members.members(), progress)

    return asyncio.run(directly())


def _into_file(file: Path) -> Save:
    async def save_one(
        endpoints: tuple[str, ...], credentials: Credentials, progress: Progress
    ) -> Saved:
        def work(tell: Progress) -> Saved:
            return saving.save(endpoints, credentials, file, say=say, progress=tell)

        return await saving.watched(work, progress)

    return save_one


def _into_repository(flags: IntoFlags) -> Save:
    from shipkeeper.backup.opening import open_repository
    from shipkeeper.cli.backup_flags import RepositoryFlags
    from shipkeeper.etcd.archive import save_into

    place = RepositoryFlags(
        repo=flags.into, endpoint=flags.repo_endpoint, key=flags.repo_key
    ).place()

    async def save_one(
        endpoints: tuple[str, ...], credentials: Credentials, progress: Progress
    ) -> Saved:
        async with open_repository(place) as opened, opened.writing() as writer:
            return await save_into(endpoints, credentials, writer, say=say, progress=progress)

    return save_one


async def _through(
    hosts: list["SshHost"], manifest: str, save_one: Save, progress: Progress
) -> Saved:
    """Save from the member on the first of the hosts that gives a whole snapshot."""
    for host in hosts[:-1]:
        try:
            return await _through_one(host, manifest, save_one, progress)
        except (EtcdError, HostError) as error:
            say(f"{error.message}; trying the next host")
    return await _through_one(hosts[-1], manifest, save_one, progress)


async def _through_one(host: "SshHost", manifest: str, save_one: Save, progress: Progress) -> Saved:
    from shipkeeper.etcd.through_host import member_of

    async with host.session() as session, member_of(session, host.name, manifest) as way:
        endpoint, credentials = way
        saved = await save_one((endpoint,), credentials, progress)
    return msgspec.structs.replace(saved, endpoint=str(host.login))


@contextmanager
def _progress() -> Generator[Callable[[int, int], None]]:
    """Yield what takes the bytes that came and those to come; a drawn line is wiped at the end."""
    is_terminal = sys.stderr.isatty()
    every = _DRAW_EVERY if is_terminal else _WRITE_EVERY
    told = time.monotonic()

    def tell(came: int, remaining: int) -> None:
        nonlocal told
        if time.monotonic() - told < every:
            return
        told = time.monotonic()
        if is_terminal:
            sys.stderr.write(f"\r\x1b[K{human_size(came)} of {human_size(came + remaining)}")
            sys.stderr.flush()
        else:
            line = {
                "time": datetime.now(UTC),
                "type": "progress",
                "bytes": came,
                "ofBytes": came + remaining,
            }
            say(msgspec.json.encode(line).decode())

    try:
        yield tell
    finally:
        if is_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
