"""Traces of real runs on the command line, as somebody receives them, or fails to."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.run import SHIPKEEPER, run_cli
from tests.cli.user import User
from tests.nodes.world import World
from tests.traces.receiver import Receiver

SECRET = "hunter2hunter2"
HEADERS = {"OTEL_EXPORTER_OTLP_HEADERS": f"api-key={SECRET}"}


class Person:
    """A user of the command line whose traces go somewhere."""

    def __init__(self, world: World, directory: Path, environment: dict[str, str]) -> None:
        user = User(world.sandbox, directory)
        self._world = world
        self.environment = {
            "KUBECONFIG": str(user.kubeconfig),
            "XDG_STATE_HOME": str(user.state),
            **environment,
        }

    async def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return await run_cli(self._world.sandbox, *arguments, environment=self.environment)

    async def run_until_killed(self, receiver: Receiver, span: str, *arguments: str) -> None:
        """Run until a span was received, then kill it with SIGKILL."""
        environment = {**os.environ, **self.environment}
        nowhere = asyncio.subprocess.DEVNULL
        running = await asyncio.create_subprocess_exec(
            *(SHIPKEEPER, *arguments), env=environment, stdout=nowhere, stderr=nowhere
        )
        await asyncio.to_thread(receiver.await_span, span)
        running.kill()
        await running.wait()


async def test_a_drain_is_a_trace(world: World, tmp_path: Path) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web", 2))
    with Receiver() as receiver:
        person = Person(world, tmp_path, {**receiver.environment, **HEADERS})
        done = await person.run("drain", name)
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert {each["api-key"] for each in receiver.headers} == {SECRET}
    run, drain = receiver.named("run drain"), receiver.named("drain")
    assert (run.outcome, run.is_error) == ("Succeeded", False)
    assert str(run.attributes["shipkeeper.run.id"]) in done.stderr
    assert (drain.parent, drain.trace, drain.outcome) == (run.id, run.trace, "Done")
    assert drain.attributes["shipkeeper.step.target"] == f"node/{name}"
    assert drain.attributes["k8s.node.name"] == name
    gone = [about["shipkeeper.item"] for event, about in drain.events if event == "item done"]
    assert len(gone) == 2
    assert all(str(pod).startswith(f"{world.name}/web-") for pod in gone)
    assert receiver.named("cordon").parent == run.id


async def test_a_failure_is_told_without_what_is_secret(world: World, tmp_path: Path) -> None:
    (name,) = await world.add_nodes(1)
    with Receiver() as receiver:
        person = Person(world, tmp_path, receiver.environment)
        command = f"echo password={SECRET} >&2; exit 3"
        done = await person.run("maintain", "run", name, "--command", command)
    assert done.returncode == 1
    update, run = receiver.named("update"), receiver.named("run maintain")
    assert (update.outcome, run.outcome) == ("Failed", "Failed")
    assert update.attributes["shipkeeper.reason"] == "CommandFailed"
    assert update.message in done.stderr
    assert update.is_error
    assert run.is_error
    assert SECRET not in repr(receiver.spans)


async def test_killed_and_resumed_it_is_one_trace(world: World, tmp_path: Path) -> None:
    (name,) = await world.add_nodes(1)
    go = tmp_path / "go"
    work = f"while [ ! -e {go} ]; do sleep 0.05; done"
    command = ("maintain", "run", name, "--command", work)
    with Receiver() as receiver:
        person = Person(world, tmp_path, receiver.environment)
        await person.run_until_killed(receiver, "drain", *command)
        assert "run maintain" not in receiver.names
        go.touch()
        done = await person.run(*command)
    assert done.returncode == 0, done.stderr
    run = receiver.named("run maintain")
    assert {each.trace for each in receiver.spans} == {run.trace}
    assert {each.parent for each in receiver.spans if each is not run} == {run.id}
    steps = [each.attributes.get("shipkeeper.step.id") for each in receiver.spans]
    assert len(steps) == len(set(steps))
    assert run.outcome == "Succeeded"


@pytest.mark.parametrize("trouble", ["hangs", "refuses", "dies", "is not there"])
async def test_a_drain_goes_on_whatever_becomes_of_its_trace(
    world: World, tmp_path: Path, trouble: str
) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web", 1))
    status = 401 if trouble == "refuses" else 200
    with Receiver(status=status, hangs=trouble in ("hangs", "dies")) as receiver:
        person = Person(world, tmp_path, {**receiver.environment, **HEADERS})
        if trouble == "is not there":
            receiver.die()
        running = asyncio.create_task(person.run("drain", name))
        if trouble == "dies":
            await asyncio.to_thread(receiver.await_request)
            receiver.die()
        done = await running
    assert done.returncode == 0, done.stderr
    assert f"node/{name} drained" in done.stdout
    said = done.stderr.splitlines()
    assert said[-1].startswith(f"Warning: traces were lost: {receiver.address} ")
    assert sum("traces" in line for line in said) == 1
    assert SECRET not in done.stdout + done.stderr
    ended = await person.run("runs")
    assert "Succeeded" in ended.stdout


async def test_without_variables_nothing_is_imported(world: World, tmp_path: Path) -> None:
    (name,) = await world.add_nodes(1)
    person = Person(world, tmp_path, {})
    program = (
        "import sys; from shipkeeper.cli.main import main; "
        f"code = main(['drain', '{name}']); "
        "print([each for each in sys.modules if each.startswith('opentelemetry')], code)"
    )
    environment = {**os.environ, **person.environment}
    command = [sys.executable, "-c", program]
    done = await asyncio.to_thread(
        subprocess.run, command, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[] 0"


async def test_a_library_that_is_not_installed_is_told(world: World, tmp_path: Path) -> None:
    (name,) = await world.add_nodes(1)
    (tmp_path / "opentelemetry.py").write_text("raise ImportError('not installed')\n")
    with Receiver() as receiver:
        person = Person(world, tmp_path, {**receiver.environment, "PYTHONPATH": str(tmp_path)})
        # A process of its own from its first import on.
        done = await asyncio.to_thread(
            subprocess.run,
            [SHIPKEEPER, "drain", name],
            env={**os.environ, **person.environment},
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stderr.splitlines()[-1] == (
        "Warning: no traces are sent: their library is not installed: "
        "pip install 'shipkeeper[traces]'"
    )
