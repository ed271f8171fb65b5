"""Metrics of a real run: in a file that is replaced as a whole, and at an address."""

import asyncio
import re
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families as parse

from shipkeeper.errors import UsageError
from shipkeeper.metrics.server import MetricsAddressError, parse_address, serving
from shipkeeper.metrics.textfile import MetricsFileError, read_text, replace_text
from tests.cli.user import User
from tests.nodes.world import World


def values(text: str) -> dict[str, float]:
    return {
        " ".join((sample.name, *sample.labels.values())): sample.value
        for family in parse(text)
        for sample in family.samples
    }


async def test_a_drain_leaves_its_metrics_in_a_file(world: World, tmp_path: Path) -> None:
    (name,) = await world.add_nodes(1)
    await world.up(world.deployment("web", 2))
    user, path = User(world.sandbox, tmp_path), tmp_path / "shipkeeper.prom"
    done = await user.run("drain", name, f"--metrics-file={path}")
    assert done.returncode == 0, done.stderr
    found = values(path.read_text())
    assert found["shipkeeper_nodes Done"] == 1
    assert found["shipkeeper_pods_moved_total"] == 2
    succeeded = found["shipkeeper_last_success_timestamp_seconds drain"]
    assert succeeded == found["shipkeeper_run_finish_timestamp_seconds"]
    assert path.stat().st_mode & 0o777 == 0o644

    failing = await user.run("maintain", "run", name, "--command=false", f"--metrics-file={path}")
    assert failing.returncode == 1
    after = values(path.read_text())
    assert after["shipkeeper_last_success_timestamp_seconds drain"] == succeeded
    assert "shipkeeper_last_success_timestamp_seconds maintain" not in after
    assert after["shipkeeper_steps_failed_total update CommandFailed"] == 1


async def test_a_file_that_cannot_be_written_is_told_before_anything_is_done(
    world: World, tmp_path: Path
) -> None:
    (name,) = await world.add_nodes(1)
    user = User(world.sandbox, tmp_path)
    done = await user.run("drain", name, "--metrics-file=/no/such/directory/x.prom")
    assert done.returncode == 1
    assert "cannot write metrics to /no/such/directory/x.prom" in done.stderr
    assert user.writes() == []


async def test_metrics_are_served_while_the_run_lasts(world: World, tmp_path: Path) -> None:
    (name,) = await world.add_nodes(1)
    user, go = User(world.sandbox, tmp_path), tmp_path / "go"
    work = f"while [ ! -e {go} ]; do sleep 0.05; done"
    running = asyncio.create_task(
        user.run("maintain", "run", name, "--command", work, "--metrics-address", "127.0.0.1:19464")
    )
    url = "http://127.0.0.1:19464/metrics"
    async with aiohttp.ClientSession() as session, asyncio.timeout(60):
        while True:
            try:
                async with session.get(url) as answer:
                    content_type, text = answer.headers["Content-Type"], await answer.text()
            except aiohttp.ClientConnectionError:
                text = content_type = ""
            if "Update" in text:
                break
            await asyncio.sleep(0.1)
    go.touch()
    done = await running
    assert done.returncode == 0, done.stderr
    assert re.search(rf"^metrics: {url}$", done.stderr, re.MULTILINE)
    assert content_type.startswith("text/plain; version=0.0.4")
    assert values(text)["shipkeeper_nodes Update"] == 1


async def test_an_address_that_is_taken_is_told() -> None:
    async with serving("127.0.0.1:0", lambda: "a 1\n", "text/plain") as url:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            assert await answer.text() == "a 1\n"
        taken = url.removeprefix("http://").removesuffix("/metrics")
        with pytest.raises(MetricsAddressError, match="cannot serve metrics"):
            async with serving(taken, str, "text/plain"):
                pass


@pytest.mark.parametrize(
    ("address", "parsed"),
    [("127.0.0.1:9", ("127.0.0.1", 9)), (":80", ("", 80)), ("[::1]:9", ("::1", 9))],
)
def test_addresses(address: str, parsed: tuple[str, int]) -> None:
    assert parse_address(address) == parsed


@pytest.mark.parametrize("address", ["", "host", "host:http", "host:70000", "9464"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(UsageError, match="not an address"):
        parse_address(address)


def test_a_file_is_there_in_whole_or_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.prom"
    assert read_text(path) == ""
    replace_text(path, "a 1\n")

    def fail(_self: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(MetricsFileError, match="No space left"):
        replace_text(path, "a 2\n")
    assert [each.name for each in tmp_path.iterdir()] == ["m.prom"]
    assert read_text(path) == "a 1\n"
