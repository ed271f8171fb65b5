"""A data directory of a new member, made of a snapshot; it appears when it is complete.

What changes in the database: who the members are, where raft stands, and on demand its revision, so
that whoever watched the cluster before learns that its knowledge is stale.
"""

import contextlib
import errno
import os
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Final

import msgspec

from shipkeeper.errors import UsageError
from shipkeeper.etcd import raft
from shipkeeper.etcd.bolt.addition import Addition, add
from shipkeeper.etcd.bolt.database import Database
from shipkeeper.etcd.digest import BackgroundDigest
from shipkeeper.etcd.errors import DamagedError, EtcdError
from shipkeeper.etcd.files import WholeFile, new_private_file, sync_folder
from shipkeeper.etcd.membership import NewCluster, NewMember, parse_initial_cluster, require_member
from shipkeeper.etcd.revisions import KEY_BUCKET, META_BUCKET, Revision, decode_revision
from shipkeeper.etcd.snapshot import Snapshot, open_snapshot
from shipkeeper.etcd.status import read_status

_CHUNK: Final = 1 << 20
_MEMBERS: Final = b"members"
_REMOVED: Final = b"members_removed"
_BIG: Final = 8


class RestoreRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A member to be made of a snapshot; the fields are etcdutl's flags.

    sha256: in hexadecimal, what the database must have where other members are made of it, too.
    """

    snapshot: Path
    name: str
    initial_cluster: str
    initial_cluster_token: str
    initial_advertise_peer_urls: tuple[str, ...]
    data_dir: Path
    wal_dir: Path | None = None
    bump_revision: int = 0
    skip_hash_check: bool = False
    sha256: str = ""


class Restored(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A data directory that was made; IDs in hexadecimal, as etcd prints them."""

    data_dir: str
    wal_dir: str
    name: str
    member_id: str
    cluster_id: str
    members: int
    revision: int


def restore(request: RestoreRequest, *, dry_run: bool = False) -> Restored:
    """Make the data directory; with `dry_run` only check that it could be. Blocking.

    UsageError for a request that makes no sense, EtcdError when a directory is there already or
    cannot be written, DamagedError when the snapshot is not whole. Nothing is left behind then.
    """
    token = request.initial_cluster_token
    cluster = parse_initial_cluster(request.initial_cluster, token)
    member = require_member(cluster, request.name, request.initial_advertise_peer_urls)
    _require_absent(request)
    with open_snapshot(request.snapshot) as snapshot:
        database = snapshot.database()
        revision, addition = _change(database, cluster, request.bump_revision)
        if not snapshot.has_trailer:
            _require_allowed(snapshot, request)
            read_status(database)
        if dry_run:
            if not request.skip_hash_check:
                snapshot.require_sha256()
        else:
            with _unfinished(request) as (data, wal):
                _write(snapshot, request, addition, data / "member/snap", cluster)
                _write_log(wal or data / "member/wal", cluster, member)
    return Restored(
        data_dir=str(request.data_dir),
        wal_dir=str(request.wal_dir or request.data_dir / "member/wal"),
        name=member.name,
        member_id=f"{member.id:x}",
        cluster_id=f"{cluster.id:x}",
        members=len(cluster.members),
        revision=revision.main,
    )


def _require_absent(request: RestoreRequest) -> None:
    for flag, folder in (("--data-dir", request.data_dir), ("--wal-dir", request.wal_dir)):
        if folder is None or not os.path.lexists(folder):
            continue
        if flag == "--wal-dir" or not folder.is_dir() or any(folder.iterdir()):
            raise EtcdError(
                f"{folder} is there already, and may be the data of a member",
                reason="DirectoryExists",
                hint=f"name a new directory with {flag}",
            )


def _require_allowed(snapshot: Snapshot, request: RestoreRequest) -> None:
    if not request.skip_hash_check:
        snapshot.require_sha256()


def _change(database: Database, cluster: NewCluster, bump: int) -> tuple[Revision, Addition]:
    """The latest revision after the restore, and what is added to the database."""
    buckets = {bucket.name: bucket for bucket in database.buckets()}
    if KEY_BUCKET not in buckets or META_BUCKET not in buckets:
        raise DamagedError(
            "the database has no buckets of etcd 3",
            reason="NoDatabase",
            hint="name a file that `etcdctl snapshot save` or `shipkeeper etcd save` wrote",
        )
    keys = buckets[KEY_BUCKET]
    last = database.last(keys)[1].keys if keys.root else [key for key, _ in database.items(keys)]
    latest = decode_revision(last[-1]) if last else Revision(1)
    meta = dict(database.items(buckets[META_BUCKET]))
    meta |= {
        b"consistent_index": len(cluster.members).to_bytes(_BIG, "big"),
        b"term": raft.TERM.to_bytes(_BIG, "big"),
    }
    if b"confState" in meta:
        meta[b"confState"] = raft.encode_conf_state(cluster)
    appended: dict[bytes, list[tuple[bytes, bytes]]] = {}
    if bump:
        latest = Revision(latest.main + bump)
        if latest.main >= 1 << 63:
            raise UsageError("--bump-revision leads beyond the last revision", reason="TooFar")
        appended[KEY_BUCKET] = [(latest.encode(), b"")]
        meta[b"scheduledCompactRev"] = latest.encode()
    replaced = {
        META_BUCKET: list(meta.items()),
        _MEMBERS: [(member.key, member.encode()) for member in cluster.members],
        _REMOVED: [],
    }
    return latest, add(database, replaced, appended)


@contextlib.contextmanager
def _unfinished(request: RestoreRequest) -> Generator[tuple[Path, Path | None]]:
    """Directories to fill, which get their names when all went well and vanish when not."""
    pairs = [(request.data_dir, _beside(request.data_dir))]
    if request.wal_dir:
        pairs.append((request.wal_dir, _beside(request.wal_dir)))
    try:
        for _, partial in pairs:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(mode=0o700, parents=True)
        yield pairs[0][1], pairs[1][1] if request.wal_dir else None
        # The log first: a data directory without it would be taken for a new member's.
        for final, partial in reversed(pairs):
            partial.rename(final)
            sync_folder(final.parent)
    except OSError as error:
        full = error.errno == errno.ENOSPC
        raise EtcdError(
            f"cannot write {request.data_dir}: "
            + ("the disk is full" if full else str(error.strerror)),
            reason="DiskFull" if full else "DirectoryUnwritable",
            hint="free space there, or name another directory; nothing was left behind",
        ) from error
    finally:
        for _, partial in pairs:
            shutil.rmtree(partial, ignore_errors=True)


def _beside(folder: Path) -> Path:
    return folder.absolute().with_name(f".{folder.name}.unfinished")


def _write(
    snapshot: Snapshot,
    request: RestoreRequest,
    addition: Addition,
    folder: Path,
    cluster: NewCluster,
) -> None:
    folder.mkdir(mode=0o700, parents=True)
    path = folder / "db"
    with new_private_file(path) as file:
        is_checked = bool(request.sha256) or not request.skip_hash_check
        digest = _copy(snapshot, file, check=is_checked)
        _require_same(snapshot, request, digest)
        meta = addition.meta
        file.truncate(max(snapshot.database_size, meta.high_water * meta.page_size))
        for place, page in addition.pages:
            file.seek(place)
            file.write(page)
        file.seek(meta.transaction % 2 * meta.page_size)
        file.write(meta.page())
    name = folder / raft.snapshot_name(cluster)
    with new_private_file(name) as file:
        file.write(raft.encode_snapshot(cluster))
    sync_folder(folder)


def _require_same(snapshot: Snapshot, request: RestoreRequest, digest: bytes) -> None:
    if not request.skip_hash_check and digest != snapshot.trailer:
        raise DamagedError(
            f"{snapshot.path} is not what was saved: its sha256 does not fit",
            reason="ChecksumMismatch",
        )
    if request.sha256 and digest.hex() != request.sha256:
        raise EtcdError(
            f"{snapshot.path} is another snapshot by now",
            reason="OtherSnapshot",
            hint="all members must be made of one: put that one back under this name, or begin "
            "anew",
        )


def _copy(snapshot: Snapshot, target: WholeFile, *, check: bool) -> bytes:
    """Copy the database into an open file; its SHA-256 if it is asked for."""
    left = snapshot.database_size
    with snapshot.path.open("rb", buffering=0) as source, BackgroundDigest() as digest:
        if not check:
            while left and (sent := os.sendfile(target.fileno(), source.fileno(), None, left)):
                left -= sent
            return b""
        while left and (chunk := source.read(min(left, _CHUNK))):
            digest.update(chunk)
            target.write(chunk)
            left -= len(chunk)
        return digest.value()


def _write_log(folder: Path, cluster: NewCluster, member: NewMember) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with new_private_file(folder / raft.WAL_NAME) as file:
        os.posix_fallocate(file.fileno(), 0, raft.WAL_SIZE)
        file.write(raft.encode_log(cluster, member))
    sync_folder(folder)
