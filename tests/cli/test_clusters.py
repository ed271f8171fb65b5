"""One command on several clusters: one table, one exit code, and no cluster hides another."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from shipkeeper.sandbox.sandbox import Sandbox
from tests.cli.run import run_cli
from tests.cli.test_bad_input import assert_refused
from tests.nodes.world import World


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


async def test_a_pattern_that_matches_nothing(operator: Operator) -> None:
    assert_refused(await operator.run("nodes", "--context=north-*"), 1, "no context matches")


async def test_a_format_for_one_cluster(operator: Operator) -> None:
    done = await operator.run("access", "audit", "--context=east-*", "-o", "sarif")
    assert done.returncode == 2
    assert "this output format is for one cluster" in done.stderr
