"""Commands that the console starts: what they are told, what they leave, and that they go on."""

import asyncio
import os
import shlex
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shipkeeper.engine.journal import Journal
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import connect
from shipkeeper.kube.identity import Identity
from shipkeeper.paths import state_dir
from shipkeeper.web.commands import start
from shipkeeper.web.console import Console, Settings
from shipkeeper.web.observer import Observer
from shipkeeper.web.person import Person
from shipkeeper.web.problem import RefusedError
from shipkeeper.web.sessions import Sessions
from tests.faults.certificate import write_kubeconfig, write_server_certificate

# Nobody listens there.
NOWHERE = "https://127.0.0.1:9"
TOKEN = "a-token-that-nobody-may-find"
FLAGS = ("--kubeconfig=/a b", "--as=ann", "--as-group=ops", "--context=prod a")


@asynccontextmanager
async def console_of(directory: Path) -> AsyncGenerator[Console]:
    write_server_certificate(directory / "server.pem")
    path = write_kubeconfig(directory / "kubeconfig", NOWHERE, directory / "server.pem")
    async with connect(ConnectionOptions(kubeconfig=str(path))) as connection:
        journal = Journal(state_dir() / "journal.db")
        yield Console(
            settings=Settings(is_local=True, cluster=NOWHERE, flags=(f"--kubeconfig={path}",)),
            connection=connection,
            observer=Observer(connection),
            journal=journal,
            sessions=Sessions(asyncio.get_running_loop().time, cookie="c", is_tls=False),
            directory=state_dir() / "console",
        )
        journal.close()


@pytest.mark.parametrize("token", ["", TOKEN])
async def test_a_command_acts_as_the_person(tmp_path: Path, token: str) -> None:
    async with console_of(tmp_path) as console:
        person = Person(Identity(username="ann"), console.connection, token)
        command = start(console, person, ("maintain", "run", "node-1", "--wait=1s"))
        with pytest.raises(RefusedError) as refused:
            await command.begun()
        # It knows the server, of which nothing but its kubeconfig tells.
        assert f"cannot reach the API server at {NOWHERE}" in refused.value.message
        assert refused.value.hint
        assert await command.ended() == 1
    kept = everything_under(tmp_path)
    assert any(path.parent.name == "console" for path in kept)
    assert all(TOKEN.encode() not in content for content in kept.values())


def everything_under(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


async def test_what_a_command_says_of_its_words_is_told(tmp_path: Path) -> None:
    async with console_of(tmp_path) as console:
        person = Person(Identity(username="ann"), console.connection)
        command = start(console, person, ("maintain", "run", "node-1"))
        with pytest.raises(RefusedError) as refused:
            await command.begun()
    assert refused.value.code == 400
    assert "needs either --hook" in refused.value.message


async def test_a_command_outlives_a_signal_to_the_console(tmp_path: Path) -> None:
    async with console_of(tmp_path) as console:
        person = Person(Identity(username="ann"), console.connection)
        command = start(console, person, ("maintain", "watch"))
        # Ctrl-C reaches a process group: the command is in another.
        assert os.getpgid(command.pid) != os.getpgid(0)
        assert os.getsid(command.pid) == command.pid
        assert await command.ended() == 2


@pytest.mark.parametrize(("is_local", "where"), [(True, FLAGS), (False, FLAGS[-1:])])
def test_the_command_that_is_shown_names_the_cluster(
    is_local: bool, where: tuple[str, ...]
) -> None:
    settings = Settings(is_local=is_local, cluster=NOWHERE, context="prod a", flags=FLAGS)
    shown = settings.command_line("maintain", "run", "node-1")
    assert shlex.split(shown) == ["shipkeeper", "maintain", "run", "node-1", *where]
