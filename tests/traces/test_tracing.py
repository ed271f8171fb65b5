"""The spans of a run on a world in memory, as somebody receives them."""

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from shipkeeper.engine import tracing as engine
from shipkeeper.engine.action import StepRecord
from shipkeeper.engine.journal import Journal, Outcome, Phase
from shipkeeper.engine.plan import Step
from shipkeeper.engine.progress import quiet
from shipkeeper.engine.run import Run, RunResult
from shipkeeper.errors import ShipkeeperError
from shipkeeper.traces.process import Tracing
from tests.engine.test_run import DyingJournal, Killed, World, execute, make_plan, step
from tests.traces.receiver import Receiver

TRACE = hashlib.sha256(b"r").hexdigest()[:32]


class Process:
    """This process, as if it were begun anew: with no traces yet."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self._tracing = Tracing({})

    def begin(self, environment: dict[str, str]) -> None:
        """Begin with variables."""
        self._tracing.close()
        for name, value in environment.items():
            self._patch.setenv(name, value)
        self._tracing = Tracing(environment)
        self._patch.setattr(engine, "tracing", self._tracing)

    def end(self) -> str:
        """End it; what it said of traces."""
        return self._tracing.close()


@pytest.fixture
def process(monkeypatch: pytest.MonkeyPatch) -> Iterator[Process]:
    found = Process(monkeypatch)
    yield found
    found.end()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


async def test_a_run_and_its_steps_are_spans_of_one_trace(
    tmp_path: Path, process: Process, receiver: Receiver
) -> None:
    process.begin(receiver.environment)
    plan = make_plan(step("a"), step("b", "a"))
    await execute(plan, World(), Journal(tmp_path / "j"))
    assert process.end() == ""
    run = receiver.named("run drain")
    assert (run.trace, run.parent, run.outcome, run.is_error) == (TRACE, "", "Succeeded", False)
    assert run.attributes["shipkeeper.run.id"] == "r"
    assert run.attributes["shipkeeper.procedure"] == "drain"
    assert run.attributes["shipkeeper.run.steps"] == 2
    assert run.resource["service.name"] == "shipkeeper"
    steps = [each for each in receiver.spans if each is not run]
    assert [(each.trace, each.parent, each.name, each.outcome) for each in steps] == [
        (TRACE, run.id, "do", "Done"),
        (TRACE, run.id, "do", "Done"),
    ]
    assert [each.attributes["shipkeeper.step.id"] for each in steps] == ["a", "b"]
    assert steps[0].attributes["shipkeeper.step.target"] == "node/a"
    assert steps[0].attributes["k8s.node.name"] == "a"
    assert len({each.id for each in receiver.spans}) == 3


async def test_a_failure_says_why_and_what_was_taken_back(
    tmp_path: Path, process: Process, receiver: Receiver
) -> None:
    process.begin(receiver.environment)
    world, plan = World(), make_plan(step("a"), step("b", "a", rollback=("a",)))
    secret = "it printed password=hunter2 and\nAuthorization: Bearer abcdefgh.ijklmnop"
    world.fails["b"] = ShipkeeperError(secret, reason="CommandFailed")
    await execute(plan, world, Journal(tmp_path / "j"))
    assert process.end() == ""
    run, undone = receiver.named("run drain"), receiver.named("undo do")
    (failed,) = [each for each in receiver.spans if each.outcome == "Failed" and each is not run]
    assert (run.outcome, run.is_error) == ("Failed", True)
    assert failed.is_error
    assert failed.attributes["shipkeeper.reason"] == "CommandFailed"
    assert failed.message == "it printed password=••• and\nAuthorization: Bearer •••"
    assert undone.attributes["shipkeeper.step.id"] == "a"


async def test_what_is_refused_is_told_though_it_never_began(
    tmp_path: Path, process: Process, receiver: Receiver
) -> None:
    process.begin(receiver.environment)
    world = World()
    world.refuses.add("a")
    await execute(make_plan(step("a")), world, Journal(tmp_path / "j"))
    process.end()
    refused = receiver.named("do")
    assert (refused.outcome, refused.attributes["shipkeeper.reason"]) == ("Blocked", "No")


async def test_what_becomes_of_items_is_told_with_their_step(
    tmp_path: Path, process: Process, receiver: Receiver
) -> None:
    class Evicting(World):
        async def perform(self, step: Step, record: StepRecord) -> None:
            await record.write(Phase.BEFORE, item="uid", pod="ns/web")
            await record.write(Phase.AFTER, item="uid", pod="ns/web")
            await super().perform(step, record)

    process.begin(receiver.environment)
    await execute(make_plan(step("a")), Evicting(), Journal(tmp_path / "j"))
    process.end()
    pod = {"shipkeeper.item": "ns/web"}
    assert receiver.named("do").events == [("item begun", pod), ("item done", pod)]


async def test_killed_and_gone_on_with_it_is_one_trace(
    tmp_path: Path, process: Process, receiver: Receiver
) -> None:
    plan, world = make_plan(step("a"), step("b", "a")), World()
    process.begin(receiver.environment)
    with pytest.raises(Killed):
        # At the end of b, which is begun.
        await execute(plan, world, DyingJournal(tmp_path / "j", 4, is_written=False))
    process.end()
    assert receiver.names == ["do"]
    process.begin(receiver.environment)
    await execute(plan, world, Journal(tmp_path / "j"))
    process.end()
    run = receiver.named("run drain")
    steps = [each for each in receiver.spans if each is not run]
    assert [each.attributes["shipkeeper.step.id"] for each in steps] == ["a", "b"]
    assert {each.trace for each in receiver.spans} == {TRACE}
    assert {each.parent for each in steps} == {run.id}
    # It begins where the first attempt did.
    assert run.took > sum(each.took for each in steps)


async def test_an_interrupted_attempt_is_told_and_the_run_only_once_it_ends(
    tmp_path: Path, process: Process, receiver: Receiver
) -> None:
    class Slow(World):
        async def perform(self, step: Step, record: StepRecord) -> None:
            self.undone.append("begun")
            await asyncio.Event().wait()

    process.begin(receiver.environment)
    plan, journal, slow = make_plan(step("a")), Journal(tmp_path / "j"), Slow()
    task = asyncio.create_task(execute(plan, slow, journal))
    while not slow.undone:
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    process.end()
    assert sorted(receiver.names) == ["attempt drain", "do"]
    assert {each.outcome for each in receiver.spans} == {"Interrupted"}
    process.begin(receiver.environment)
    await execute(plan, World(), journal)
    process.end()
    run = receiver.named("run drain")
    assert {each.parent for each in receiver.spans if each is not run} == {run.id}


async def test_an_abort_is_told_beside_the_run(
    tmp_path: Path, process: Process, receiver: Receiver
) -> None:
    plan, world, journal = make_plan(step("a")), World(), Journal(tmp_path / "j")
    process.begin(receiver.environment)
    await execute(plan, world, journal)
    await Run("r", plan, {"do": world}, journal, quiet).abort()
    process.end()
    run, abort = receiver.named("run drain"), receiver.named("abort drain")
    assert (abort.outcome, abort.parent, abort.trace) == ("Aborted", run.id, run.trace)
    assert receiver.named("undo do").parent == run.id


async def run_against(
    process: Process, receiver: Receiver, journal: Path, **more: str
) -> tuple[RunResult, str]:
    """What became of a run, and what was said of traces at its process's end."""
    process.begin({**receiver.environment, **more})
    result = await execute(make_plan(step("a")), World(), Journal(journal))
    return result, process.end()


async def test_who_hangs_holds_nothing_up(tmp_path: Path, process: Process) -> None:
    with Receiver(hangs=True) as receiver:
        result, said = await run_against(process, receiver, tmp_path / "j")
        assert receiver.requests
    assert result.outcome is Outcome.SUCCEEDED
    assert said == f"traces were lost: {receiver.address} did not take all of them in time"


@pytest.mark.parametrize("status", [302, 401, 404, 500])
async def test_who_refuses_spoils_nothing(tmp_path: Path, process: Process, status: int) -> None:
    with Receiver(status=status) as receiver:
        result, said = await run_against(process, receiver, tmp_path / "j")
    assert result.outcome is Outcome.SUCCEEDED
    assert said == f"traces were lost: {receiver.address} answers with HTTP status {status}"


async def test_who_is_not_there_spoils_nothing(tmp_path: Path, process: Process) -> None:
    with Receiver() as receiver:
        pass
    result, said = await run_against(process, receiver, tmp_path / "j")
    assert result.outcome is Outcome.SUCCEEDED
    assert said.startswith(f"traces were lost: {receiver.address} ")


@pytest.mark.parametrize("is_there", [True, False])
async def test_what_is_secret_of_the_way_is_never_said(
    tmp_path: Path,
    process: Process,
    is_there: bool,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Receiver(status=401) as receiver:
        url = f"http://me:hunter2@{receiver.address}/v1/traces?key=hunter3"
        ways = {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": url,
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=hunter4,no header hunter5",
        }
        if not is_there:
            receiver.die()
        _, said = await run_against(process, receiver, tmp_path / "j", **ways)
        assert [each["api-key"] for each in receiver.headers] == ["hunter4"] * is_there
    assert receiver.address in said
    output = capfd.readouterr()
    assert "hunter" not in said + output.out + output.err + caplog.text
    assert not output.err


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "no traces are sent: their protocol is grpc, and only http/protobuf is spoken here",
        ),
        (
            {"OTEL_BSP_MAX_QUEUE_SIZE": "0"},
            "no traces are sent: OpenTelemetry's variables make no sense (ValueError)",
        ),
        ({"OTEL_SDK_DISABLED": "true"}, ""),
        ({"OTEL_TRACES_EXPORTER": "none"}, ""),
        ({"OTEL_TRACES_EXPORTER": "console"}, ""),
    ],
)
async def test_what_the_variables_forbid_is_not_sent(
    tmp_path: Path, process: Process, receiver: Receiver, environment: dict[str, str], said: str
) -> None:
    result, told = await run_against(process, receiver, tmp_path / "j", **environment)
    assert result.outcome is Outcome.SUCCEEDED
    assert told == said
    assert not receiver.requests


async def test_the_users_names_are_taken(
    tmp_path: Path, process: Process, receiver: Receiver
) -> None:
    named = {
        "OTEL_SERVICE_NAME": "keeper",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=prod",
    }
    await run_against(process, receiver, tmp_path / "j", **named)
    resource = receiver.named("run drain").resource
    assert resource["service.name"] == "keeper"
    assert resource["deployment.environment.name"] == "prod"


async def test_trouble_is_told_when_it_begins_and_when_it_ends(
    process: Process, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with Receiver(status=500) as broken:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://{broken.address}")
        found = Tracing(broken.environment)
        found.report_to(said.append)
        tracer = found.tracer()
        assert tracer is not None
        tracer.run("r", "run drain", {}, None).end({})
        broken.await_request()
    found.close()
    assert said == [f"traces were lost: {broken.address} answers with HTTP status 500"]
