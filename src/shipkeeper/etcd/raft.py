"""The raft state that a restored member begins with: its log and its snapshot, as bytes. Pure.

The log says that the members were added, one entry each; the snapshot stands right behind them.
Sources: etcd-io/etcd, server/storage/wal and server/etcdserver/api/snap; etcd-io/raft, raftpb.
"""

import struct
from typing import Any, Final

import msgspec

from shipkeeper.etcd.crc import extend
from shipkeeper.etcd.membership import NewCluster, NewMember
from shipkeeper.etcd.wire import bytes_field, number_field

TERM: Final = 1
WAL_NAME: Final = "0000000000000000-0000000000000000.wal"
WAL_SIZE: Final = 64_000_000
"""Bytes that etcd sets aside for a file of its log."""

_METADATA, _ENTRY, _STATE, _CRC, _SNAPSHOT = 1, 2, 3, 4, 5
_CONF_CHANGE: Final = 1
_LENGTH: Final = struct.Struct("<Q")
_NEVER: Final = "0001-01-01T00:00:00Z"
_EVENTS: Final = 1000
_STATS: Final = (
    *("getsSuccess", "getsFail", "setsSuccess", "setsFail", "deleteSuccess", "deleteFail"),
    *("updateSuccess", "updateFail", "createSuccess", "createFail", "compareAndSwapSuccess"),
    *("compareAndSwapFail", "compareAndDeleteSuccess", "compareAndDeleteFail", "expireCount"),
    "watchers",
)


def encode_log(cluster: NewCluster, member: NewMember) -> bytes:
    """The beginning of the write-ahead log of a new member."""
    log = _Log()
    log.write(_CRC, b"")
    log.write(_METADATA, number_field(1, member.id) + number_field(2, cluster.id))
    log.write(_SNAPSHOT, number_field(1, 0) + number_field(2, 0))
    for index, each in enumerate(cluster.members, 1):
        change = (
            number_field(1, 0)
            + number_field(2, 0)
            + number_field(3, each.id)
            + bytes_field(4, each.encode())
        )
        log.write(
            _ENTRY,
            number_field(1, _CONF_CHANGE)
            + number_field(2, TERM)
            + number_field(3, index)
            + bytes_field(4, change),
        )
    last, first = len(cluster.members), cluster.members[0].id
    log.write(_STATE, number_field(1, TERM) + number_field(2, first) + number_field(3, last))
    log.write(
        _SNAPSHOT,
        number_field(1, last) + number_field(2, TERM) + bytes_field(3, _conf_state(cluster)),
    )
    return bytes(log.written)


class _Log:
    """Records, each with the checksum of the data of all up to it, padded to 8 bytes."""

    def __init__(self) -> None:
        self.written = bytearray()
        self._crc = 0

    def write(self, kind: int, data: bytes) -> None:
        self._crc = extend(self._crc, data)
        record = number_field(1, kind) + number_field(2, self._crc)
        if kind != _CRC:
            record += bytes_field(3, data)
        padding = -len(record) % 8
        mark = (0x80 | padding) << 56 if padding else 0
        self.written += _LENGTH.pack(len(record) | mark) + record + bytes(padding)


def snapshot_name(cluster: NewCluster) -> str:
    """The name of the snapshot's file: term and index."""
    return f"{TERM:016x}-{len(cluster.members):016x}.snap"


def encode_snapshot(cluster: NewCluster) -> bytes:
    """The raft snapshot of a new member: who the members are, in etcd's old tree of keys."""
    metadata = (
        bytes_field(1, _conf_state(cluster))
        + number_field(2, len(cluster.members))
        + number_field(3, TERM)
    )
    data = bytes_field(1, msgspec.json.encode(_store(cluster))) + bytes_field(2, metadata)
    return number_field(1, extend(0, data)) + bytes_field(2, data)


def encode_conf_state(cluster: NewCluster) -> bytes:
    """Who votes, as etcd from 3.5 on keeps it in its database."""
    voters = [member.id for member in cluster.members]
    return msgspec.json.encode({"voters": voters, "auto_leave": False})


def _conf_state(cluster: NewCluster) -> bytes:
    voters = b"".join(number_field(1, member.id) for member in cluster.members)
    return voters + number_field(5, 0)


def _store(cluster: NewCluster) -> dict[str, Any]:
    members = {
        f"{member.id:x}": _node(
            f"/0/members/{member.id:x}",
            index,
            {
                "raftAttributes": _node(
                    f"/0/members/{member.id:x}/raftAttributes",
                    index,
                    None,
                    msgspec.json.encode({"peerURLs": member.peer_urls}).decode(),
                )
            },
        )
        for index, member in enumerate(cluster.members, 1)
    }
    roots = {
        "0": _node("/0", 0, {"members": _node("/0/members", 1, members)}),
        "1": _node("/1", 0, {}),
    }
    queue = {"Events": [None] * _EVENTS, "Size": 0, "Front": 0, "Back": 0, "Capacity": _EVENTS}
    return {
        "Root": _node("/", 0, roots),
        "WatcherHub": {"EventHistory": {"Queue": queue, "StartIndex": 0, "LastIndex": 0}},
        "CurrentIndex": len(cluster.members),
        "Stats": dict.fromkeys(_STATS, 0),
        "CurrentVersion": 2,
    }


def _node(
    path: str, index: int, children: dict[str, Any] | None, value: str = ""
) -> dict[str, Any]:
    return {
        "Path": path,
        "CreatedIndex": index,
        "ModifiedIndex": index,
        "ExpireTime": _NEVER,
        "Value": value,
        "Children": children,
    }
