"""A run's journal in ConfigMaps, so that whoever leads next goes on where the last one stopped.

Each entry is a patch that fails if anybody else wrote since: a leader that was replaced without
noticing cannot write a line more, and what is not on record is not begun. ADR 33 says why it is
not the object's status.
"""

import asyncio
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from shipkeeper.engine.journal import PLAN, Entry, JournalError, Outcome, Phase, RunRecord
from shipkeeper.engine.plan import Plan
from shipkeeper.engine.review import Revision
from shipkeeper.kube.errors import ConflictError, NotFoundError, UnreachableError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import CONFIG_MAPS
from shipkeeper.kube.writer import Writer
from shipkeeper.model.config_map import ConfigMap
from shipkeeper.operator.packing import packed, unpacked

LABEL = "shipkeeper.dev/journal"
# Every entry costs the API server a write of its whole page, so that pages are small.
_PAGE_BYTES = 65_536
# A ConfigMap holds 1 MiB.
_BLOB_BYTES = 700_000
_ATTEMPTS = 5
_MARK = "e"
_NO_WAY_ON = "nobody can go on with the run: delete what asked for it, and create another"


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """Where a journal is: in ConfigMaps whose names begin with this one.

    `owner` is the owner reference of what it belongs to, and goes with.
    """

    namespace: str
    name: str
    owner: dict[str, Any]

    def manifest(self, name: str, **content: Any) -> dict[str, Any]:
        """A ConfigMap of this journal."""
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": {LABEL: self.name},
                "ownerReferences": [self.owner],
            },
            **content,
        }


class _Head(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What the first ConfigMap says of the run; plans are in so many ConfigMaps of their own."""

    id: str
    procedure: str
    cluster: str
    started_at: datetime
    plan: int
    revised: int = 0
    revision: int = 0
    finished_at: datetime | None = None
    outcome: Outcome | None = None
    door: str = ""


class ClusterLedger:
    """The journal of one run; of one process at a time."""

    def __init__(
        self, reader: Reader, writer: Writer, home: Home, head: _Head, maps: Mapping[str, ConfigMap]
    ) -> None:
        self.home = home
        self._reader = reader
        self._writer = writer
        self._head = head
        self._plan = _packed_plan(home, maps, "plan", head.plan)
        self._revised = (
            _packed_plan(home, maps, f"r{head.revision}", head.revised) if head.revised else b""
        )
        # What is damaged is told at once.
        self._unpacked()
        # Texts for people and packed plans are not read again.
        self._maps = {
            name: each
            for name, each in maps.items()
            if name == home.name or _is_page(name, home.name)
        }
        self._written = self._read_entries()
        self._count = len(self._keys())
        self._pen = asyncio.Lock()
        self._pending: list[tuple[Entry, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None

    @property
    def record(self) -> RunRecord:
        """The run as the journal keeps it."""
        first, revised = self._unpacked()
        return RunRecord(
            id=self._head.id,
            procedure=self._head.procedure,
            cluster=self._head.cluster,
            plan=revised or first,
            revised_from=first if revised else None,
            started_at=self._head.started_at,
            finished_at=self._head.finished_at,
            outcome=self._head.outcome,
            door=self._head.door,
        )

    def _unpacked(self) -> tuple[Plan, Plan | None]:
        return unpacked(self._plan), unpacked(self._revised) if self._revised else None

    @property
    def is_untouched(self) -> bool:
        """Whether nothing of the run was ever begun, nor anything of other tools held for it."""
        return self._head.outcome is None and not self._written

    def entries(self, run: str, *, step: str = "") -> list[Entry]:
        """What was written down of the run, or of one step of it, oldest first."""
        return [each for each in self._written if step in ("", each.step)]

    async def write(self, entry: Entry) -> None:
        """Append an entry; the API server has it when this returns. Raises JournalError."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append((entry, written))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        await asyncio.shield(written)

    async def _flush(self) -> None:
        while self._pending:
            batch, self._pending = self._pending, []
            error = await self._append([entry for entry, _ in batch])
            for _, written in batch:
                if written.done():
                    continue
                if error is None:
                    written.set_result(None)
                else:
                    written.set_exception(error)

    async def _append(self, entries: list[Entry]) -> Exception | None:
        now = datetime.now(UTC)
        stamped = [msgspec.structs.replace(each, written_at=now) for each in entries]
        text = msgspec.json.encode(stamped).decode()
        try:
            async with self._pen:
                key = f"{_MARK}{self._count + 1:08d}"
                await self._put(self._page(len(text)), {key: text})
                self._count += 1
        except Exception as error:
            return error
        self._written += stamped
        return None

    def _page(self, more: int) -> str:
        """The name of the ConfigMap that takes the next entries."""
        pages = [each for each in self._maps if _is_page(each, self.home.name)]
        last = max(pages, key=lambda name: int(name.rpartition("-p")[2] or 0), default="")
        current = self._maps[last or self.home.name]
        if sum(map(len, current.data.values())) + more <= _PAGE_BYTES:
            return last or self.home.name
        return f"{self.home.name}-p{len(pages) + 1}"

    def _keys(self) -> set[str]:
        return {key for each in self._maps.values() for key in each.data if _is_entry(key)}

    async def revise(self, run: str, revision: Revision) -> None:
        """Write down that the run goes on by another plan, and what changed."""
        number = self._head.revision + 1
        async with self._pen:
            text = await asyncio.to_thread(packed, revision.plan)
            pieces = await _store(self._writer, self.home, f"r{number}", text)
            await self._put_head(revised=pieces, revision=number)
        self._revised = text
        detail = {"changes": list(revision.changes)}
        await self.write(Entry(run=run, step=PLAN, phase=Phase.AFTER, detail=detail))

    async def finish(self, run: str, outcome: Outcome) -> None:
        """Write down how the run ended."""
        async with self._pen:
            await self._put_head(finished_at=datetime.now(UTC), outcome=outcome)

    async def _put_head(self, **changes: Any) -> None:
        head = msgspec.structs.replace(self._head, **changes)
        await self._put(self.home.name, {"run": msgspec.json.encode(head).decode()})
        self._head = head

    async def _put(self, name: str, data: dict[str, str]) -> None:
        """Add keys to a ConfigMap that must be as we know it, or make it."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._maps[name] = await self._try_to_put(name, data)
            except (ConflictError, NotFoundError, UnreachableError) as error:
                if await self._is_put(name, data, error):
                    return
                if attempt == _ATTEMPTS:
                    raise _unwritable(self.home, str(error)) from error
            else:
                return

    async def _try_to_put(self, name: str, data: dict[str, str]) -> ConfigMap:
        known = self._maps.get(name)
        if known is None:
            manifest = self.home.manifest(name, data=data)
            return await self._writer.create(CONFIG_MAPS, manifest, namespace=self.home.namespace)
        patch = {"metadata": {"resourceVersion": known.metadata.resource_version}, "data": data}
        return await self._writer.patch(CONFIG_MAPS, name, patch, namespace=self.home.namespace)

    async def _is_put(self, name: str, data: dict[str, str], error: Exception) -> bool:
        """Whether it was put after all; JournalError if somebody else writes this journal."""
        maps = {each.name: each for each in await _maps_of(self._reader, self.home)}
        if name not in maps and name in self._maps:
            raise _gone(self.home, name) from error
        if any(self._is_foreign(each, data if each.name == name else {}) for each in maps.values()):
            raise _unwritable(self.home, "another process writes it") from error
        if name in maps:
            # Somebody labelled it, or it is our own change whose answer was lost.
            self._maps[name] = maps[name]
        return name in maps and data.items() <= maps[name].data.items()

    async def show(self, text: str) -> tuple[str, ...]:
        """Keep the text of a plan where people find it; the names of the ConfigMaps."""
        return await keep_text(self._writer, self.home, "plan", text)

    def _is_foreign(self, found: ConfigMap, ours: Mapping[str, str]) -> bool:
        """Whether a page says what neither we nor anybody before us wrote."""
        if found.name != self.home.name and not _is_page(found.name, self.home.name):
            return False
        known = self._maps[found.name].data if found.name in self._maps else {}
        return any(text not in (known.get(key), ours.get(key)) for key, text in found.data.items())

    def _read_entries(self) -> list[Entry]:
        texts = {
            key: text
            for each in self._maps.values()
            for key, text in each.data.items()
            if _is_entry(key)
        }
        return [
            entry
            for key in sorted(texts)
            for entry in msgspec.json.decode(texts[key], type=list[Entry])
        ]


async def load_ledger(reader: Reader, writer: Writer, home: Home) -> ClusterLedger | None:
    """The journal that was begun there; None if none was. JournalError if it cannot be read."""
    maps = {each.name: each for each in await _maps_of(reader, home)}
    found = maps.get(home.name)
    if found is None:
        return None
    try:
        head = msgspec.json.decode(found.data["run"], type=_Head)
        return ClusterLedger(reader, writer, home, head, maps)
    except (KeyError, ValueError, zlib.error) as error:
        raise _damaged(home, repr(error)) from error


async def begin_ledger(reader: Reader, writer: Writer, home: Home, run: RunRecord) -> ClusterLedger:
    """Write a run down before its first step; ConflictError if there is one already."""
    pieces = await _store(writer, home, "plan", await asyncio.to_thread(packed, run.plan))
    head = _Head(
        id=run.id,
        procedure=run.procedure,
        cluster=run.cluster,
        started_at=run.started_at,
        plan=pieces,
        door=run.door,
    )
    data = {"run": msgspec.json.encode(head).decode()}
    await writer.create(CONFIG_MAPS, home.manifest(home.name, data=data), namespace=home.namespace)
    loaded = await load_ledger(reader, writer, home)
    if loaded is None:
        raise _unwritable(home, "it vanished as it was begun")
    return loaded


async def keep_text(writer: Writer, home: Home, what: str, text: str) -> tuple[str, ...]:
    """Keep a text beside a journal, begun or not, for people; the names of the ConfigMaps."""
    data = text.encode()
    pieces = [data[at : at + _BLOB_BYTES] for at in range(0, len(data), _BLOB_BYTES)]
    names = tuple(f"{home.name}-{what}-text-{number}" for number in range(len(pieces)))
    for name, piece in zip(names, pieces, strict=True):
        content = {f"{what}.txt": piece.decode("utf-8", "ignore")}
        await writer.apply(CONFIG_MAPS, home.manifest(name, data=content), force=True)
    return names


def _packed_plan(home: Home, maps: Mapping[str, ConfigMap], label: str, pieces: int) -> bytes:
    names = [f"{home.name}-{label}-{number}" for number in range(pieces)]
    if missing := [name for name in names if name not in maps]:
        raise _gone(home, missing[0])
    return b"".join(b64decode(maps[name].binary_data["plan"]) for name in names)


async def _store(writer: Writer, home: Home, label: str, text: bytes) -> int:
    """Keep a packed plan in ConfigMaps; what an attempt that was cut short left is replaced."""
    pieces = [text[at : at + _BLOB_BYTES] for at in range(0, len(text), _BLOB_BYTES)]
    for number, piece in enumerate(pieces):
        binary = {"plan": b64encode(piece).decode()}
        manifest = home.manifest(f"{home.name}-{label}-{number}", binaryData=binary)
        await writer.apply(CONFIG_MAPS, manifest, force=True)
    return len(pieces)


async def _maps_of(reader: Reader, home: Home) -> Iterable[ConfigMap]:
    listing = await reader.list(
        CONFIG_MAPS, namespace=home.namespace, label_selector=f"{LABEL}={home.name}"
    )
    return listing.items


def _is_page(name: str, home: str) -> bool:
    return name.startswith(f"{home}-p") and name.removeprefix(f"{home}-p").isdecimal()


def _is_entry(key: str) -> bool:
    return key.startswith(_MARK) and key[1:].isdecimal()


def _unwritable(
    home: Home,
    why: str,
    hint: str = "nothing was begun that is not in it; whoever leads goes on by it",
) -> JournalError:
    return JournalError(
        f"the journal in ConfigMap {home.namespace}/{home.name} cannot be used: {why}",
        reason="JournalUnwritable",
        hint=hint,
    )


def _gone(home: Home, name: str) -> JournalError:
    return _unwritable(home, f"ConfigMap {name} is gone", _NO_WAY_ON)


def _damaged(home: Home, what: str) -> JournalError:
    return _unwritable(home, f"somebody changed it ({what})", _NO_WAY_ON)
