import asyncio
from pathlib import Path

import pytest

from shipkeeper.hosts.errors import HostUnreachableError
from shipkeeper.hosts.handshakes import Handshakes, TurnedAwayError
from shipkeeper.hosts.options import SshOptions
from shipkeeper.hosts.remote import RemoteCommand
from shipkeeper.hosts.ssh import SshHost
from tests.hosts.proxy import Proxy
from tests.hosts.sshd import SshServer

ADDRESSES = [f"127.0.{third}.{last}" for third in range(1, 5) for last in range(1, 51)]
MAX_STARTUPS = "MaxStartups 10:30:60\n"


async def run_everywhere(
    addresses: list[str], proxy: Proxy, options: SshOptions, hands: Handshakes, local: Path
) -> int:
    commands = [
        RemoteCommand(
            SshHost(address, options, hands),
            f"fleet/{address}",
            "echo $NODE_NAME; exit 3",
            local / address,
            environment={"NODE_NAME": address},
        )
        for address in addresses
    ]
    results = await asyncio.gather(*(command.run() for command in commands))
    assert [(result.exit_code, result.tail) for result in results] == [(3, a) for a in addresses]
    return hands.turned_away


# Two dozen at once are more than sshd takes, so that it turns some away.
@pytest.mark.parametrize(("hosts", "at_once", "attempts"), [(200, 8, 8), (60, 24, 20)])
async def test_200_hosts_at_once(hosts: int, at_once: int, attempts: int, tmp_path: Path) -> None:
    addresses = ADDRESSES[:hosts]
    async with SshServer(MAX_STARTUPS) as server, Proxy(server.port, addresses) as proxy:
        server.know(server.known_line(f"[127.*]:{proxy.port}"))
        options = server.options(port=proxy.port)
        hands = Handshakes(at_once, attempts, 0.05)
        turned_away = await run_everywhere(addresses, proxy, options, hands, tmp_path)
    assert proxy.connections == hosts + turned_away
    if at_once > 10:
        assert turned_away > 0


async def test_a_server_that_turns_everybody_away_is_busy() -> None:
    async with Proxy(1) as proxy:
        options = SshOptions(port=proxy.port)
        with pytest.raises(HostUnreachableError) as caught:
            async with SshHost("127.0.0.1", options, Handshakes(2, 3, 0.01)).session():
                pass
    assert caught.value.reason == "HostBusy"
    assert "MaxStartups" in caught.value.hint
    assert proxy.connections == 3


async def test_no_more_handshakes_at_once_than_allowed() -> None:
    hands = Handshakes(at_once=3, attempts=4, base_seconds=0.001)
    now, most, failures = 0, 0, 0

    async def connect() -> str:
        nonlocal now, most, failures
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        if failures < 20:
            failures += 1
            raise TurnedAwayError
        return "in"

    ends = await asyncio.gather(*(hands.shake(connect) for _ in range(20)), return_exceptions=True)
    assert most == 3
    assert "in" in ends
    assert hands.turned_away >= 20
