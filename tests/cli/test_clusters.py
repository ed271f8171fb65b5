"""One command on several clusters: one table, one exit code, and no cluster hides another."""

import inspect
import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from cyclopts import App

from shipkeeper.cli.app import app
from shipkeeper.cli.clusters import READING
from shipkeeper.engine.journal import Journal, RunRecord
from shipkeeper.engine.plan import Plan
from shipkeeper.sandbox.sandbox import Sandbox
from tests.cli.run import run_cli
from tests.cli.test_bad_input import assert_refused
from tests.nodes.world import World

# What only reads, and is not for several clusters: why.
ONE_OR_NONE = {
    **dict.fromkeys(("maintain status", "upgrade status", "runs show"), "one run, of one cluster"),
    **dict.fromkeys(("maintain resume", "upgrade resume", "resume"), "goes on with one run"),
    **dict.fromkeys(("backup show", "backup get"), "one backup, of one cluster"),
    "backup verify": "a repository as a whole: its bytes are shared by the backups of all clusters",
    "etcd health": "members are named by their URLs: no context leads to them",
    **dict.fromkeys(
        (
            *(f"etcd {noun}" for noun in ("status", "verify", "ls", "get", "history", "diff")),
            *(f"etcd snapshot {noun}" for noun in ("status", "verify")),
        ),
        "files, of no cluster that could be asked",
    ),
    "access suggest": "audit logs are of one cluster",
    "access convert": "a file",
    "login-gateway": "a server, or the text of its configuration",
    **dict.fromkeys(("sandbox status", "demo"), "sandboxes, which no context names yet"),
}


def commands(of: App, chain: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that has an output format and nothing to try out first: it only reads."""
    for name in of:
        if not name.startswith("-"):
            yield from commands(of[name], (*chain, name))
    if chain and of.default_command is not None:
        flags = inspect.signature(of.default_command).parameters
        if "output" in flags and "dry_run" not in flags:
            yield chain


def test_every_reading_noun_takes_several_contexts_or_says_why_not() -> None:
    reading = {" ".join(each) for each in commands(app)}
    taking = {" ".join(each) for each in READING}
    assert reading == taking | ONE_OR_NONE.keys()
    assert not taking & ONE_OR_NONE.keys()


class Operator:
    """Somebody whose kubeconfig knows two ways to a cluster, and one to a cluster that is gone."""

    def __init__(self, sandbox: Sandbox, directory: Path) -> None:
        self._sandbox = sandbox
        self._directory = directory
        document = yaml.safe_load(sandbox.kubeconfig.read_text())
        (one,) = document["contexts"]
        gone = {**one["context"], "cluster": "gone"}
        document["contexts"] = [
            {"name": "east-2", "context": one["context"]},
            {"name": "east-1", "context": one["context"]},
            {"name": "west-1", "context": gone},
        ]
        document["clusters"].append({"name": "gone", "cluster": {"server": "https://127.0.0.1:1"}})
        self.kubeconfig = directory / "many"
        self.kubeconfig.write_text(yaml.safe_dump(document))

    async def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run shipkeeper with that kubeconfig."""
        state = str(self._directory / "state")
        environment = {"KUBECONFIG": str(self.kubeconfig), "XDG_STATE_HOME": state}
        return await run_cli(self._sandbox, *arguments, environment=environment)


@pytest.fixture
def operator(newest: Sandbox, tmp_path: Path) -> Operator:
    """Somebody with several contexts."""
    return Operator(newest, tmp_path)


async def test_one_table_of_all_that_a_pattern_matches(world: World, operator: Operator) -> None:
    (node,) = await world.add_nodes(1)
    done = await operator.run("nodes", node, "--context=east-*")
    header, *rows = (line.split() for line in done.stdout.splitlines())
    assert done.returncode == 0, done.stderr
    assert header[:2] == ["CONTEXT", "NAME"]
    assert [row[:2] for row in rows] == [["east-1", node], ["east-2", node]]


async def test_a_dead_cluster_hides_no_other(world: World, operator: Operator) -> None:
    (node,) = await world.add_nodes(1)
    done = await operator.run(
        "nodes", node, "--context", "west-1", "--context", "east-1", "-o", "json"
    )
    west, east = json.loads(done.stdout)["items"]
    assert done.returncode == 1
    assert (west["context"], west["exitCode"], "value" in west) == ("west-1", 1, False)
    assert "127.0.0.1:1" in west["error"]["message"]
    assert (east["context"], east["exitCode"], "error" in east) == ("east-1", 0, False)
    assert [each["name"] for each in east["value"]["items"]] == [node]
    assert "error: west-1: " in done.stderr


async def test_names_say_where(world: World, operator: Operator) -> None:
    (node,) = await world.add_nodes(1)
    done = await operator.run("nodes", node, "--context=east-?", "-o", "name")
    assert done.stdout.splitlines() == [f"east-1 node/{node}", f"east-2 node/{node}"]


async def test_what_acts_stops_at_the_first_that_fails(world: World, operator: Operator) -> None:
    (node,) = await world.add_nodes(1)
    done = await operator.run(
        "maintain", "run", node, "--command=true", "--context=west-1", "--context=east-1"
    )
    assert done.returncode == 1
    assert "east-1: not begun, since west-1 did not succeed" in done.stderr
    assert not (await world.node(node)).metadata.annotations.keys() & {"shipkeeper.dev/run"}


async def test_what_acts_goes_from_one_to_the_next(world: World, operator: Operator) -> None:
    (node,) = await world.add_nodes(1)
    done = await operator.run("maintain", "run", node, "--command=true", "--context=east-*")
    assert done.returncode == 0, done.stderr
    rows = [line.split()[:2] for line in done.stdout.splitlines()]
    assert ["east-1", node] in rows
    assert ["east-2", node] in rows
    runs = (await operator.run("runs", "-o", "name")).stdout.split()
    assert len(runs) == 2


async def test_what_is_for_one_cluster_is_refused_for_several(
    world: World, operator: Operator
) -> None:
    (node,) = await world.add_nodes(1)
    done = await operator.run("drain", node, "--context=*")
    assert_refused(done, 2, "shipkeeper drain is for one cluster at a time")
    assert not (await world.node(node)).spec.unschedulable


@pytest.mark.parametrize("noun", ["serve", "nodes", "drain", "maintain run"])
async def test_help_asks_no_cluster(operator: Operator, noun: str) -> None:
    for flags in (("--context=east-1", "--context", "west-1"), ("--context=no-such-*",)):
        done = await operator.run(*noun.split(), *flags, "--help")
        assert done.returncode == 0, done.stderr
        assert f"shipkeeper {noun}" in done.stdout
        assert not done.stderr


async def test_a_pattern_that_matches_nothing(operator: Operator) -> None:
    assert_refused(await operator.run("nodes", "--context=north-*"), 1, "no context matches")


async def test_a_format_for_one_cluster(operator: Operator) -> None:
    done = await operator.run("access", "audit", "--context=east-*", "-o", "sarif")
    assert done.returncode == 2
    assert "this output format is for one cluster" in done.stderr


async def test_each_cluster_has_its_own_backups_of_a_shared_repository(
    operator: Operator, tmp_path: Path
) -> None:
    repository = ("--repo", str(tmp_path / "repository"))
    assert (await operator.run("backup", "init", *repository)).returncode == 0
    none = await operator.run("backup", "diff", *repository, "--context=east-*")
    assert none.returncode == 2
    assert "east-2: no backup of this cluster in" in none.stderr
    kinds = ("--context=east-1", "--kind=priorityclasses")
    done = await operator.run("backup", "create", *repository, *kinds, "-o", "json")
    assert done.returncode == 0, done.stderr
    name = json.loads(done.stdout)["name"]
    # The newest of all is of another cluster.
    exported = await operator.run("backup", "export", str(tmp_path / "files"), *repository)
    assert exported.returncode == 0, exported.stderr
    about = tmp_path / "files/shipkeeper-backup.json"
    ours = json.loads(about.read_text())["cluster"]
    about.write_text(about.read_text().replace(ours, "another"))
    done = await operator.run("backup", "import", str(tmp_path / "files"), *repository)
    assert done.returncode == 0, done.stderr

    listed = await operator.run("backup", "list", *repository, "--context=east-*", "-o", "name")
    assert listed.stdout.splitlines() == [f"east-1 backup/{name}", f"east-2 backup/{name}"]
    everything = await operator.run("backup", "list", *repository, "-o", "name")
    assert len(everything.stdout.splitlines()) == 2
    words = ("--kind=priorityclasses", "--context=east-*", "-o", "json")
    same = await operator.run("backup", "diff", *repository, *words)
    assert same.returncode == 0, same.stderr
    assert [each["value"]["old"] for each in json.loads(same.stdout)["items"]] == [
        f"backup {name}"
    ] * 2


async def test_each_cluster_has_its_own_runs(
    world: World, operator: Operator, tmp_path: Path
) -> None:
    (node,) = await world.add_nodes(1)
    assert (await operator.run("drain", node, "--context=east-1")).returncode == 0
    plan = Plan(procedure="drain", request={}, steps=())
    other = RunRecord(
        id="other", procedure="drain", cluster="other", plan=plan, started_at=datetime.now(UTC)
    )
    Journal(tmp_path / "state/shipkeeper/journal.db").begin(other)
    everything = (await operator.run("runs", "-o", "name")).stdout.split()
    assert len(everything) == 2
    found = await operator.run("runs", "--context=east-*", "-o", "name")
    (run,) = {*everything} - {"run/other"}
    assert found.stdout.splitlines() == [f"east-1 {run}", f"east-2 {run}"]
