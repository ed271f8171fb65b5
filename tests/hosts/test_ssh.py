import asyncio
import socket
import subprocess
import sys
from collections.abc import Awaitable
from pathlib import Path

import asyncssh
import pytest

from shipkeeper.errors import UsageError
from shipkeeper.hosts.errors import (
    AuthenticationFailedError,
    HostError,
    HostKeyError,
    HostUnreachableError,
    IdentityError,
)
from shipkeeper.hosts.options import Login, SshOptions
from shipkeeper.hosts.ssh import SshHost
from tests.hosts.keys import ecdsa_public_key, write_key
from tests.hosts.sshd import SshServer


async def say_hello(options: SshOptions) -> str:
    chunks: list[bytes] = []
    async with SshHost("127.0.0.1", options).session() as session:
        answer = await session.execute("echo hello; echo oh >&2; exit 3", chunks.append)
    assert (answer.exit_code, answer.errors) == (3, "oh\n")
    return b"".join(chunks).decode()


async def failure(attempt: Awaitable[object]) -> HostError:
    with pytest.raises(HostError) as caught:
        await attempt
    assert caught.value.hint
    return caught.value


async def test_the_right_key_at_the_right_host(server: SshServer) -> None:
    assert await say_hello(server.options()) == "hello\n"


async def test_another_host_key_than_the_known_one_is_refused(server: SshServer) -> None:
    other = (server.home / "other_key.pub").read_text()
    server.know(f"[127.0.0.1]:{server.port} {other}")
    error = await failure(say_hello(server.options()))
    assert isinstance(error, HostKeyError)
    assert error.reason == "HostKeyMismatch"
    shown = asyncssh.read_public_key(server.home / "host_key.pub").get_fingerprint()
    assert shown in error.message
    assert f"ssh-keygen -R '[127.0.0.1]:{server.port}'" in error.hint


async def test_a_known_key_of_another_type_is_no_excuse(server: SshServer) -> None:
    other = ecdsa_public_key()
    server.know(f"[127.0.0.1]:{server.port} {other}")
    error = await failure(say_hello(server.options()))
    assert error.reason == "HostKeyMismatch"


@pytest.mark.parametrize("known", ["", "elsewhere.example ssh-ed25519 {key}"])
async def test_an_unknown_host_is_refused(server: SshServer, known: str) -> None:
    key = (server.home / "host_key.pub").read_text().split()[1]
    server.know(known.format(key=key))
    error = await failure(say_hello(server.options()))
    assert isinstance(error, HostKeyError)
    assert error.reason == "HostUnknown"
    assert f"ssh-keyscan -p {server.port} 127.0.0.1" in error.hint


async def test_without_a_known_hosts_file_every_host_is_unknown(server: SshServer) -> None:
    options = server.options(known_hosts=server.home / "none")
    assert (await failure(say_hello(options))).reason == "HostUnknown"


async def test_a_user_key_that_the_host_does_not_know(server: SshServer) -> None:
    options = server.options(identities=(server.home / "other_key",))
    error = await failure(say_hello(options))
    assert isinstance(error, AuthenticationFailedError)
    assert error.reason == "AuthenticationFailed"


@pytest.mark.parametrize("passphrase", [None, "open sesame"])
async def test_a_user_key_that_cannot_be_read(server: SshServer, passphrase: str | None) -> None:
    path = server.home / "broken_key"
    if passphrase:
        write_key(path, passphrase)
    else:
        path.write_text("nothing like a key: top-secret\n")
    error = await failure(say_hello(server.options(identities=(path,))))
    assert isinstance(error, IdentityError)
    assert ("passphrase" in error.message) == bool(passphrase)
    assert "top-secret" not in error.message


async def test_a_user_key_that_is_not_there(server: SshServer) -> None:
    error = await failure(say_hello(server.options(identities=(Path("/nowhere/key"),))))
    assert error.reason == "IdentityUnreadable"


async def test_nobody_listens(server: SshServer) -> None:
    await server.stop()
    error = await failure(say_hello(server.options()))
    assert isinstance(error, HostUnreachableError)
    assert error.reason == "HostUnreachable"


async def test_a_host_that_accepts_and_says_nothing() -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        options = SshOptions(port=mute.getsockname()[1], connect_timeout=0.3)
        async with asyncio.timeout(60):
            error = await failure(say_hello(options))
    assert error.reason == "HostUnreachable"
    assert "no answer within 0.3 s" in error.message


async def test_through_a_jump_host(server: SshServer) -> None:
    async with SshServer() as jump:
        lines = [(each.home / "known_hosts").read_text() for each in (server, jump)]
        server.know("".join(lines))
        shared = (server.home / "authorized_keys").read_text()
        (jump.home / "authorized_keys").write_text(shared)
        options = server.options(jump=f"root@127.0.0.1:{jump.port}")
        assert await say_hello(options) == "hello\n"
        assert "Accepted publickey" in (jump.home / "log").read_text()


async def test_the_jump_host_must_be_known_too(server: SshServer) -> None:
    async with SshServer() as jump:
        error = await failure(say_hello(server.options(jump=f"root@127.0.0.1:{jump.port}")))
    assert error.reason == "HostUnknown"
    assert str(jump.port) in error.message


async def test_a_host_that_the_jump_host_cannot_reach(server: SshServer) -> None:
    options = server.options(jump=f"root@127.0.0.1:{server.port}", port=1)
    error = await failure(say_hello(options))
    assert error.reason == "HostUnreachable"
    assert "jump host" in error.message


@pytest.mark.parametrize(
    ("text", "login"),
    [
        ("bastion", Login(address="bastion")),
        ("me@bastion:2222", Login(address="bastion", user="me", port=2222)),
        ("me@[fd00::1]:2222", Login(address="fd00::1", user="me", port=2222)),
        ("fd00::1", Login(address="fd00::1")),
    ],
)
def test_logins_are_read(text: str, login: Login) -> None:
    assert Login.parse(text) == login


@pytest.mark.parametrize("text", ["", "me@", "host:", "host:99999", "host:ssh", "[fd00::1]22"])
def test_bad_logins_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Login.parse(text)


def test_only_who_connects_waits_for_the_import_of_asyncssh() -> None:
    program = (
        "import sys, shipkeeper.hosts.remote, shipkeeper.hosts.ssh;"
        "sys.exit('asyncssh' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
