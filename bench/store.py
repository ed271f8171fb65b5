"""The repository alone: CPU time, memory and bytes of two backups of 100,000 objects in a folder.

The objects are ConfigMaps, Secrets and custom resources as the API server sends them; in memory
they take a part of the peak that a real backup, which streams, does not have.
"""

import argparse
import asyncio
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shipkeeper.store.keys import new_reader_key, new_writer_key
from shipkeeper.store.location import open_location
from shipkeeper.store.repository import Repository
from shipkeeper.store.values import Backup
from shipkeeper.store.verify import verify

BATCH = 500
SEED = 4


def objects(count: int) -> Iterator[tuple[bytes, bytes]]:
    """Pairs of a sort key and an object of about 1.3 kB."""
    dice = random.Random(SEED)
    for number in range(count):
        body: dict[str, Any] = {
            "kind": "ConfigMap",
            "apiVersion": "v1",
            "metadata": {
                "name": f"settings-{number:06d}",
                "namespace": f"team-{number // 1000:03d}",
                "uid": f"{dice.getrandbits(128):032x}",
                "resourceVersion": str(1000 + number),
                "creationTimestamp": "2026-11-25T10:00:00Z",
                "labels": {"app": f"app-{number % 100}"},
                "managedFields": [
                    {
                        "manager": "kubectl-create",
                        "operation": "Update",
                        "apiVersion": "v1",
                        "time": "2026-11-25T10:00:00Z",
                        "fieldsType": "FieldsV1",
                        "fieldsV1": {"f:data": {".": {}, "f:key": {}, "f:text": {}}},
                    }
                ],
            },
            "data": {"key": dice.randbytes(150).hex(), "text": f"value {number}\n" * 35},
        }
        key = f"team-{number // 1000:03d}/settings-{number:06d}".encode()
        yield key, json.dumps(body, separators=(",", ":")).encode()


async def backup(repository: Repository, pairs: list[tuple[bytes, bytes]]) -> Backup:
    async with repository.writing() as writer:
        for start in range(0, len(pairs), BATCH):
            batch = pairs[start : start + BATCH]
            await writer.add("v1/configmaps", [m for m, _ in batch], [b for _, b in batch])
        return await writer.commit(b"{}")


async def measure(count: int, folder: Path) -> dict[str, float]:
    pairs = list(objects(count))
    before = peak_mb()
    reader, keys = new_reader_key(), new_writer_key()
    await Repository.create(open_location(str(folder)), keys, [reader.recipient])
    repository = await Repository.open(open_location(str(folder)), writer=keys, reader=reader)
    figures: dict[str, float] = {"objects": count, "raw_mb": sum(len(b) for _, b in pairs) / 1e6}
    for turn in ("first", "second"):
        cpu, wall = time.process_time(), time.perf_counter()
        made = await backup(repository, pairs)
        figures[f"{turn}_cpu_s"] = time.process_time() - cpu
        figures[f"{turn}_wall_s"] = time.perf_counter() - wall
        figures[f"{turn}_added_mb"] = made.figures.added_bytes / 1e6 if made.figures else 0
    figures["second_backup_bytes_ratio"] = figures["second_added_mb"] / figures["first_added_mb"]
    figures["store_peak_mb"] = peak_mb() - before
    cpu = time.process_time()
    report = await verify(repository)
    figures["verify_cpu_s"] = time.process_time() - cpu
    figures["findings"] = len(report.findings)
    return {name: round(value, 5) for name, value in figures.items()}


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(options.objects, Path(folder) / "repository"))
    if options.json:
        json.dump(figures, sys.stdout)
        return
    for name, value in figures.items():
        print(f"{name:>28}  {value:,}")


if __name__ == "__main__":
    main()
