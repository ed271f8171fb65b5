#!/usr/bin/env -S .venv/bin/python
"""Logins by a directory: how many a second, and how long they take.

python bench/login.py [--json] [--logins 5000] [--rate 500]

Real slapd over LDAPS, the gateway as a process of its own. Logins begin at a steady rate, whoever
is still waiting; each is a password over TLS, checked by a bind, with groups of groups. Every
second one is of a user of whom nothing is remembered. Then the same users' tokens are reviewed.
"""

import argparse
import asyncio
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

# The directory and the configuration are those of the tests.
sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.login.slapd import PASSWORD, Slapd, foundation, person, team, team_dn, user_dn
from tests.login.world import document

from shipkeeper.sandbox.ports import free_ports
from world import SHIPKEEPER, print_figures, say

TEAMS = 50
# So many users later one logs in again: by then the first login has ended.
LAG = 200
CONNECTIONS = 64


def main() -> None:
    """Fill a directory, then log in."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--logins", type=int, default=5000)
    parser.add_argument("--rate", type=int, default=500)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = _measure(Path(directory), arguments.logins, arguments.rate)
    print_figures(figures, as_json=arguments.json)


def _measure(folder: Path, logins: int, rate: int) -> dict[str, Any]:
    # Half of the logins are first ones, the other half second ones of the same users.
    users = logins // 2
    slapd = Slapd(folder / "slapd")
    slapd.fill(_entries(users))
    (port,) = free_ports(1)
    settings = document(
        folder,
        [slapd.ldaps],
        slapd.home / "ca.crt",
        address=f"127.0.0.1:{port}",
        cache="10m",
        guessing={"failuresOfAddress": 100_000},
    )
    configuration = folder / "login.yaml"
    configuration.write_bytes(msgspec.yaml.encode(settings))
    command = [SHIPKEEPER, "login-gateway", str(configuration)]
    slapd.start()
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert process.stderr
    try:
        say(process.stderr.readline().decode().strip())
        return asyncio.run(_load(f"https://127.0.0.1:{port}", folder, users, rate))
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
        slapd.kill()


def _entries(users: int) -> list[str]:
    names = [f"user-{number}" for number in range(users)]
    teams = [
        team(f"team-{number}", *(user_dn(name) for name in names[number::TEAMS]))
        for number in range(TEAMS)
    ]
    return [
        *foundation(),
        *map(person, names),
        *teams,
        team("everybody", *(team_dn(f"team-{number}") for number in range(TEAMS))),
    ]


async def _load(url: str, folder: Path, users: int, rate: int) -> dict[str, Any]:
    tls = ssl.create_default_context(cafile=folder / "gateway-ca.crt")
    connector = aiohttp.TCPConnector(limit=CONNECTIONS, ssl=tls)
    async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
        tokens: list[str] = []

        async def login(number: int) -> bool:
            body = {"login": f"user-{number}", "password": PASSWORD}
            async with session.post(f"{url}/login", json=body) as answer:
                if answer.status != 200:
                    return False
                tokens.append(msgspec.json.decode(await answer.read())["token"])
                return True

        async def review(number: int) -> bool:
            body = {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenReview",
                "spec": {"token": tokens[number]},
            }
            async with session.post(f"{url}/tokenreview", json=body) as answer:
                status = msgspec.json.decode(await answer.read())["status"]
                return len(status.get("user", {}).get("groups", ())) == 2

        # Cold and warm in turn: a user is new every second time, and known the time after.
        pairs = ((number, max(number - LAG, 0)) for number in range(users))
        order = [each for pair in pairs for each in pair]
        logged_in = await _paced(login, order, rate)
        reviewed = await _paced(review, list(range(len(tokens))), rate)
    return {
        "logins": len(order),
        "logins_per_second": logged_in["per_second"],
        "p50_seconds": logged_in["p50"],
        "p99_seconds": logged_in["p99"],
        "failed": logged_in["failed"],
        "asked_per_second": rate,
        "reviews_per_second": reviewed["per_second"],
        "reviews_p99_seconds": reviewed["p99"],
        "reviews_failed": reviewed["failed"],
    }


async def _paced(
    do: Callable[[int], Awaitable[bool]], numbers: list[int], rate: int
) -> dict[str, Any]:
    """Begin at a steady rate; each is measured from when it should have begun."""
    loop = asyncio.get_running_loop()
    seconds: list[float] = []
    failed = 0
    began = loop.time()

    async def one(index: int, number: int) -> None:
        nonlocal failed
        due = began + index / rate
        await asyncio.sleep(max(0.0, due - loop.time()))
        failed += not await do(number)
        seconds.append(loop.time() - due)

    async with asyncio.TaskGroup() as tasks:
        for index, number in enumerate(numbers):
            tasks.create_task(one(index, number))
    took = loop.time() - began
    seconds.sort()
    return {
        "per_second": round((len(numbers) - failed) / took, 1),
        "p50": round(seconds[len(seconds) // 2], 4),
        "p99": round(seconds[len(seconds) * 99 // 100], 4),
        "failed": failed,
    }


if __name__ == "__main__":
    main()
