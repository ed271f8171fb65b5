#!/usr/bin/env -S .venv/bin/python
"""etcd snapshots beside etcdctl and etcdutl, on one database of real etcd.

python bench/etcd.py [--json] [--mb 1000] [--value 2500] [--rounds 3]
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shipkeeper.etcd.rpc import KV, Credentials, open_member
from shipkeeper.etcd.wire import bytes_field
from shipkeeper.sandbox.assets.etcd_tools import SERIES, EtcdTools, find_etcd_tools
from shipkeeper.sandbox.members import EtcdCluster, etcd_cluster
from world import SHIPKEEPER, Measured, print_figures, say

NAMESPACES = 50
BATCH = 50
HEAD = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"one"},"data":{"text":"'
TAIL = b'"}}'


def main() -> None:
    """Fill a member, save it, look at the file, restore it: each by ours and by etcd's own tool."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--mb", type=int, default=1000, help="size of all values together")
    parser.add_argument("--value", type=int, default=2500, help="bytes of a value, on average")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        figures = run(place, arguments.mb, arguments.value, arguments.rounds)
    print_figures(figures, as_json=arguments.json)


def run(place: Path, megabytes: int, value: int, rounds: int) -> dict[str, Any]:
    tools = find_etcd_tools(SERIES[-1], say)
    environment = {"XDG_CACHE_HOME": str(place / "cache"), "ETCDCTL_API": "3"}
    snapshot = place / "ours.db"
    with etcd_cluster(tools, place / "cluster") as cluster:
        keys = fill(cluster, megabytes, value)
        say(f"{keys} keys put")
        save = both(
            ours("save", str(snapshot), *cluster.flags()),
            [tools.etcdctl, *cluster.flags(), "snapshot", "save", str(place / "theirs.db")],
            environment,
            rounds,
        )
    (place / "theirs.db").unlink()
    status = both(
        ours("status", str(snapshot), "-w", "json"),
        [tools.offline, "snapshot", "status", "-w", "json", str(snapshot)],
        environment,
        rounds,
    )
    restore = restores(tools, snapshot, place, environment, rounds)
    first = measure(ours("ls", str(snapshot)), environment)
    look = ours("ls", str(snapshot))
    page = best([measure(look, environment) for _ in range(rounds)])
    one = ours("get", str(snapshot), "configmap", "name-0000003", "-n", "ns-3")
    get = best([measure(one, environment) for _ in range(rounds)])
    mine = [*save[0], *status[0], *restore[0], first, page, get]
    return {
        "db_mb": round(snapshot.stat().st_size / 1e6),
        "keys": keys,
        "save_seconds": round(best(save[0]).wall, 2),
        "save_over_tool": ratio(save),
        "status_seconds": round(best(status[0]).wall, 2),
        "status_over_tool": ratio(status),
        "restore_seconds": round(best(restore[0]).wall, 2),
        "restore_over_tool": ratio(restore),
        "status_cpu_over_tool": cpu_ratio(status),
        "save_cpu_over_tool": cpu_ratio(save),
        "restore_cpu_over_tool": cpu_ratio(restore),
        "status_equal": json.loads(status[0][0].output) == json.loads(status[1][0].output),
        "peak_mb": round(max(each.peak_mib for each in mine), 1),
        "first_page_seconds": round(first.wall, 2),
        "next_pages_seconds": round(page.wall, 2),
        "get_seconds": round(get.wall, 3),
    }


def fill(cluster: EtcdCluster, megabytes: int, value: int) -> int:
    """Put keys as Kubernetes has them, with values of half to one and a half times the average."""
    at, chance = cluster.directory, random.Random(1)
    credentials = Credentials(
        cacert=str(cluster.ca), cert=str(at / "client.crt"), key=str(at / "client.key")
    )
    blob = chance.randbytes(1 << 20).hex().encode()
    count = megabytes * 1_000_000 // value
    with open_member(cluster.members[0].client, credentials) as member:
        for start in range(0, count, BATCH):
            puts = b""
            for number in range(start, min(start + BATCH, count)):
                key = f"/registry/configmaps/ns-{number % NAMESPACES}/name-{number:07d}"
                begin = chance.randrange(len(blob) - 2 * value)
                size = chance.randrange(value // 2, value * 3 // 2)
                held = HEAD + blob[begin : begin + size] + TAIL
                put = bytes_field(1, key.encode()) + bytes_field(2, held)
                puts += bytes_field(2, bytes_field(2, put))
            member.call(KV + "Txn", puts, timeout=60)
    return count


def measure(command: Sequence[str], environment: dict[str, str]) -> Measured:
    """Run a command to its end and measure it alone: what ran before must not count."""
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if "-w" not in command else subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode()
    return Measured(
        wall=wall,
        cpu=usage.ru_utime + usage.ru_stime,
        peak_mib=usage.ru_maxrss / 1024,
        exit_code=process.returncode,
        output=text,
        tail="\n".join(text.splitlines()[-5:]),
    )


def ours(*arguments: str) -> list[str]:
    return [SHIPKEEPER, "etcd", *arguments]


Pair = tuple[list["Measured"], list["Measured"]]


def both(mine: Sequence[str], theirs: Sequence[str], environment: dict[str, str], n: int) -> Pair:
    """Both commands in turn, so that a busy machine hits both."""
    found: Pair = ([], [])
    for _ in range(n):
        found[0].append(checked(measure(mine, environment)))
        found[1].append(checked(measure(theirs, environment)))
    return found


def restores(
    tools: EtcdTools, snapshot: Path, place: Path, environment: dict[str, str], n: int
) -> Pair:
    found: Pair = ([], [])
    data = place / "restored.etcd"
    flag = f"--data-dir={data}"
    for _ in range(n):
        for measured, command in (
            (found[0], ours("restore", str(snapshot), flag)),
            (found[1], [tools.offline, "snapshot", "restore", str(snapshot), flag]),
        ):
            measured.append(checked(measure(command, environment)))
            shutil.rmtree(data)
            os.sync()
    return found


def checked(measured: Measured) -> Measured:
    if measured.exit_code:
        raise SystemExit(measured.tail)
    return measured


def best(measured: Sequence[Measured]) -> Measured:
    return min(measured, key=lambda each: each.wall)


def ratio(pair: Pair) -> float:
    return round(best(pair[0]).wall / best(pair[1]).wall, 2)


def cpu_ratio(pair: Pair) -> float:
    return round(min(each.cpu for each in pair[0]) / min(each.cpu for each in pair[1]), 2)


if __name__ == "__main__":
    main()
