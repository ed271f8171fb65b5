"""docs/backup-repository.md is enough to read a repository: this reader uses nothing of store/."""

import base64
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyrage
import zstandard
from blake3 import blake3
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shipkeeper.store.location import open_location
from shipkeeper.store.prune import GRACE, prune
from tests.store.stock import READER, new_repository, plain, sample, save

Place = tuple[str, bytes, int, int, int, int, int]
"""Pack, sealed key, segment number, its offset and stored bytes; the object's start and length."""

unpack = msgspec.msgpack.decode


class Stranger:
    """Reads a repository in a folder with an age identity."""

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder
        self.identity = pyrage.x25519.Identity.from_str(identity)
        self.config = json.loads((folder / "config").read_bytes())
        assert self.config["format"] == 1
        secret = pyrage.decrypt(base64.b64decode(self.config["sealed_secret"]), [self.identity])
        self.id_key, self.index_key = (
            blake3(secret, derive_key_context=f"shipkeeper 2026-11 repository: {use}").digest()
            for use in ("object ids", "index and summaries")
        )
        dictionary = (folder / "dictionaries" / self.config["dictionary"]).read_bytes()
        self.dictionary = zstandard.ZstdCompressionDict(dictionary)
        self.places = dict(self.index())

    def unlock(self, locked: bytes, purpose: bytes) -> Any:
        return unpack(AESGCM(self.index_key).decrypt(locked[:12], locked[12:], purpose))

    def document(self, kind: str, path: Path, name: str) -> Any:
        content = path.read_bytes()
        header = f"shipkeeper {kind} 1\n".encode()
        assert content.startswith(header)
        body, signature = content[len(header) : -64], content[-64:]
        parts = ("shipkeeper signature 1", self.config["repository"], kind, name)
        signed = b"\0".join([*(part.encode() for part in parts), body])
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(self.config["verify_key"]))
        key.verify(signature, signed)
        return unpack(body)

    def index(self) -> Iterator[tuple[bytes, Place]]:
        for path in (self.folder / "index").iterdir():
            index = self.document("index", path, "")
            tables = self.unlock(index["locked"], b"shipkeeper index 1")
            for (pack, _, _), table in zip(index["packs"], tables, strict=True):
                yield from self.objects(pack.hex(), unpack(table))

    def objects(self, pack: str, table: Any) -> Iterator[tuple[bytes, Place]]:
        origins, segments, ids, lengths = table
        place, offset = 0, 8
        for origin, number, stored, _, objects in segments:
            start = 0
            for _ in range(objects):
                (length,) = struct.unpack_from("<I", lengths, 4 * place)
                where = (pack, origins[origin][1], number, offset, stored, start, length)
                yield ids[32 * place : 32 * place + 32], where
                place, start = place + 1, start + length
            offset += stored

    def read(self, id_: bytes) -> bytes:
        pack, sealed, number, offset, stored, start, length = self.places[id_]
        content = (self.folder / "packs" / pack[:2] / pack).read_bytes()[offset : offset + stored]
        key = pyrage.decrypt(sealed, [self.identity])
        frame = AESGCM(key).decrypt(number.to_bytes(12, "big"), content, b"shipkeeper segment 1")
        raw = zstandard.ZstdDecompressor(dict_data=self.dictionary).decompress(frame)
        body = raw[start : start + length]
        assert blake3(body, key=self.id_key).digest() == id_
        return body

    def entries(self, node: bytes) -> Iterator[Any]:
        level, items = unpack(self.read(node))
        for item in items:
            if level:
                yield from self.entries(item[0])
            else:
                yield item

    def backup(self, name: str) -> dict[str, list[tuple[bytes, bytes]]]:
        record = self.document("backups", self.folder / "backups" / name, name)
        root = self.unlock(record["locked"], b"shipkeeper backup 1")["root"]
        return {
            section: [
                (meta, b"".join(self.read(part) for part in parts))
                for meta, parts, _ in self.entries(node)
            ]
            for section, node, _, _ in unpack(self.read(root))
        }


async def test_a_stranger_reads_it_by_the_document(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    repository = await new_repository(open_location(str(folder)))
    content = {**sample(700), "other": [(b"a", b""), (b"b", b"b" * 200_000)]}
    gone = await save(repository, sample(50, seed=2))
    backup = await save(repository, content)
    await repository.forget([gone.name])
    await prune(repository, GRACE * 0)
    await prune(repository, GRACE * 0)
    assert Stranger(folder, READER.identity).backup(backup.name) == plain(content)
