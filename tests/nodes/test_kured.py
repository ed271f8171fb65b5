"""kured's lock: read and written as kured does, held for a run, and given back as it was."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from shipkeeper.engine.journal import Journal, Outcome
from shipkeeper.engine.progress import Note, quiet
from shipkeeper.kube.resources import DAEMON_SETS
from shipkeeper.model.daemonset import DaemonSet
from shipkeeper.nodes import holding
from shipkeeper.nodes.kured import KuredHolder, find_locks, lock_of
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions
from shipkeeper.nodes.procedure import abort
from tests.nodes.dying import Request
from tests.nodes.test_killed import KILLED, in_process
from tests.nodes.world import World

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ANNOTATION = "weave.works/kured-node-lock"
HOUR = 3_600_000_000_000
OPTIONS = MaintenanceOptions(drain=DrainOptions(), command="true")


def one(node: str, ttl: int = 0, created: str = "2026-03-01T11:00:00.123456789Z") -> str:
    """A lock as Go marshals kured's LockAnnotationValue."""
    return (
        f'{{"nodeID":"{node}","metadata":{{"unschedulable":false}},'
        f'"created":"{created}","TTL":{ttl}}}'
    )


def daemon_set(value: str = "", *args: str, image: str = "ghcr.io/x/kured:1.22") -> DaemonSet:
    container = {"name": "kured", "image": image, "args": list(args)}
    found = {
        "metadata": {
            "name": "kured",
            "namespace": "kube-system",
            "annotations": {ANNOTATION: value} if value else {},
        },
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
    return msgspec.convert(found, DaemonSet)


CREATED = datetime(2026, 3, 1, 11, 0, 0, 123457, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "places", "holders"),
    [
        ("", 1, ()),
        (one("n"), 1, (KuredHolder(node="n", created=CREATED),)),
        (one("n", HOUR), 1, (KuredHolder(node="n", created=CREATED, ttl=timedelta(hours=1)),)),
        (
            f'{{"maxOwners":3,"locks":[{one("n")},{one("m")}]}}',
            3,
            (KuredHolder(node="n", created=CREATED), KuredHolder(node="m", created=CREATED)),
        ),
        ('{"maxOwners":2,"locks":null}', 2, ()),
        ("what is this", 1, ()),
    ],
)
def test_a_lock_is_read(value: str, places: int, holders: tuple[KuredHolder, ...]) -> None:
    found = lock_of(daemon_set(value))
    assert (found.annotation, found.places, found.holders) == (ANNOTATION, places, holders)
    assert found.value == (value or None)


def test_a_lock_that_ran_out_is_nobodys() -> None:
    assert lock_of(daemon_set(one("n", HOUR))).others(CREATED + timedelta(minutes=59))
    assert lock_of(daemon_set(one("n", HOUR))).others(CREATED + timedelta(hours=1)) == ()
    assert lock_of(daemon_set(one("n"))).others(CREATED + timedelta(days=9))
    assert lock_of(daemon_set(one("shipkeeper/maintain-1"))).others(NOW) == ()


def test_kured_is_found_and_its_flags_are_read() -> None:
    renamed = daemon_set("", "--lock-annotation=a/b", "--concurrency", "2")
    other = daemon_set("", image="example.com/kured-exporter:1")
    marked = daemon_set(one("n"), image="registry.local:5000/reboots@sha256:0")
    by_variable = msgspec.convert(
        {
            "metadata": {"name": "k", "namespace": "ops"},
            "spec": {
                "template": {
                    "spec": {
                        "containers": [
                            {"image": "kured", "env": [{"name": "KURED_CONCURRENCY", "value": "4"}]}
                        ]
                    }
                }
            },
        },
        DaemonSet,
    )
    locks = find_locks([renamed, other, marked, by_variable])
    assert [(each.annotation, each.places) for each in locks] == [
        ("a/b", 2),
        (ANNOTATION, 1),
        (ANNOTATION, 4),
    ]


def test_a_lock_is_written_as_kured_writes_it() -> None:
    single = lock_of(daemon_set()).taken_by("maintain-1", NOW, timedelta(hours=1))
    created = "2026-03-01T12:00:00.000000Z"
    assert single == one("shipkeeper/maintain-1", HOUR, created)
    many = lock_of(daemon_set("", "--concurrency=2")).taken_by("r", NOW, timedelta(hours=1))
    place = one("shipkeeper/r", HOUR, created)
    assert many == f'{{"maxOwners":2,"locks":[{place},{place}]}}'
    assert lock_of(daemon_set(many)).is_held_by("r")
    assert not lock_of(daemon_set(many)).is_held_by("q")


class Kured:
    """A DaemonSet that looks like kured, of one world; it selects no node."""

    def __init__(self, world: World, *args: str) -> None:
        self.world = world
        self.args = args

    async def up(self, value: str = "") -> None:
        labels = {"name": "kured"}
        container = {"name": "kured", "image": "kured:1.22", "args": list(self.args)}
        template = {
            "metadata": {"labels": labels},
            "spec": {"containers": [container], "nodeSelector": {"nowhere": "true"}},
        }
        manifest: dict[str, Any] = {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {
                "name": "kured",
                "namespace": self.world.name,
                "annotations": {"example.com/team": "ops"} | ({ANNOTATION: value} if value else {}),
            },
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        }
        await self.world.writer.create(DAEMON_SETS, manifest, namespace=self.world.name)

    async def annotations(self) -> dict[str, str]:
        found = await self.world.reader.get(DAEMON_SETS, "kured", self.world.name)
        return found.metadata.annotations

    async def annotate(self, value: str | None) -> None:
        patch = {"metadata": {"annotations": {ANNOTATION: value}}}
        await self.world.writer.patch(DAEMON_SETS, "kured", patch, namespace=self.world.name)

    @property
    def command(self) -> str:
        """Work on a node that keeps what the lock looks like meanwhile."""
        at = f"kubectl --kubeconfig={self.world.sandbox.kubeconfig} -n {self.world.name}"
        return f"{at} get ds kured -o json > {self.world.directory}/kured.json"

    def seen(self) -> dict[str, Any]:
        text = (self.world.directory / "kured.json").read_text()
        return json.loads(json.loads(text)["metadata"]["annotations"][ANNOTATION])


async def test_the_lock_is_held_for_the_run_and_given_back(newest_world: World) -> None:
    world = newest_world
    (name,) = await world.add_nodes(1)
    kured = Kured(world, "--concurrency=2")
    stale = f'{{"maxOwners":2,"locks":[{one("gone", HOUR)}]}}'
    await kured.up(stale)
    before = await kured.annotations()
    options = msgspec.structs.replace(OPTIONS, command=kured.command)
    result = await world.maintain(name, options=options)
    assert result.outcome is Outcome.SUCCEEDED, result.failures
    held = kured.seen()
    assert [each["nodeID"] for each in held["locks"]] == [f"shipkeeper/{result.run}"] * 2
    assert held["maxOwners"] == 2
    assert await kured.annotations() == before


async def test_a_node_that_kured_reboots_is_waited_for(
    newest_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = newest_world
    (name,) = await world.add_nodes(1)
    monkeypatch.setattr(holding, "_LOOK_EVERY", 0.1)
    kured = Kured(world)
    await kured.up(one("other"))
    plan = await world.plan(name)
    waits = [each for each in plan.verdicts if each.effect == "Wait"]
    assert [each.target for each in waits] == [f"daemonset/{world.name}/kured"]
    running = asyncio.create_task(world.execute(plan))
    async with asyncio.timeout(30):
        while not any(
            isinstance(e, Note) and "node other since" in e.message for e in world.events
        ):
            await asyncio.sleep(0.05)
    assert not (await world.node(name)).spec.unschedulable
    await kured.annotate(None)
    assert (await running).outcome is Outcome.SUCCEEDED
    assert ANNOTATION not in await kured.annotations()

    await kured.annotate(one("other"))
    hurried = await world.drain(name, ignore_holds=True)
    assert hurried.outcome is Outcome.SUCCEEDED
    assert (await kured.annotations())[ANNOTATION] == one("other")
    # Its namespace goes slowly, and other tests would wait for this lock.
    await kured.annotate(None)


async def test_killed_with_the_lock_it_is_given_back_by_the_next(newest_world: World) -> None:
    world = newest_world
    (name,) = await world.add_nodes(1)
    kured = Kured(world)
    await kured.up()
    before = await kured.annotations()
    for point, ending in ((4, "resume"), (6, "abort")):
        directory = world.directory / ending
        directory.mkdir()
        request = Request(
            kubeconfig=str(world.sandbox.kubeconfig),
            journal=str(directory / "journal.db"),
            nodes=(name,),
            options=OPTIONS,
            dies_at=point,
        )
        assert await in_process(request) == KILLED
        assert "shipkeeper/maintain-" in (await kured.annotations())[ANNOTATION]
        if ending == "resume":
            assert await in_process(msgspec.structs.replace(request, dies_at=0)) == 0
        else:
            journal = Journal(directory / "journal.db")
            (run,) = journal.runs()
            await abort(world.connection, journal, run, quiet)
        assert await kured.annotations() == before
