"""A maintenance in the hands of somebody who has nothing but kubectl, and what kubectl shows."""

import asyncio
import itertools
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shipkeeper.kube.resources import NODES
from shipkeeper.model.version import Version
from shipkeeper.operator.api.kind import Kind
from shipkeeper.operator.api.kinds import KINDS
from shipkeeper.operator.api.reports import CERTIFICATE_REPORT
from shipkeeper.operator.api.windows import MAINTENANCE_WINDOW
from tests.nodes.world import World
from tests.operator.harbour import KUBECTL, NAMESPACE, Harbour

LIMIT = "--timeout=400s"
_MANIFEST = """\
apiVersion: shipkeeper.dev/v1alpha1
kind: NodeMaintenance
metadata:
  name: by-hand
spec:
  nodes:
    names: [{names}]
  action:
    wait: 3s
"""


class Watcher:
    """A `kubectl get --watch` as a user has it in a terminal."""

    def __init__(self, log: Path) -> None:
        self._log = log

    @property
    def text(self) -> str:
        """Everything that it showed, but for a line that is still being written."""
        return self._log.read_text().rpartition("\n")[0]

    @property
    def phases(self) -> list[str]:
        """The phases that it showed, one after the other."""
        cells = [line.split() for line in self.text.splitlines()[1:]]
        # Until the operator has seen an object there are its name and its age alone.
        shown = [found[1] for found in cells if len(found) > 2]
        return [phase for phase, _ in itertools.groupby(shown)]

    async def shows(self, *phases: str) -> None:
        """Return once it has shown these phases, and no others."""
        try:
            async with asyncio.timeout(400):
                while self.phases != list(phases):
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(self.text) from None


@contextmanager
def watching(harbour: Harbour, what: str) -> Generator[Watcher]:
    log = harbour.directory / "watched"
    words = (KUBECTL, f"--kubeconfig={harbour.sandbox.kubeconfig}", "get", what, "--watch")
    with log.open("wb") as file:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    try:
        yield Watcher(log)
    finally:
        process.kill()
        process.wait()


async def test_create_watch_pause_resume_and_delete(world: World, harbour: Harbour) -> None:
    nodes = await world.add_nodes(4)
    await harbour.writer.patch(NODES, nodes[3], {"spec": {"unschedulable": True}})
    replicas = [harbour.start_command("--namespace", NAMESPACE) for _ in range(2)]
    kubectl = harbour.kubectl

    async def becomes(phase: str) -> None:
        await kubectl("wait", f"--for=jsonpath={{.status.phase}}={phase}", "nm/by-hand", LIMIT)

    with watching(harbour, "nm") as watcher:
        manifest = _MANIFEST.format(names=", ".join(nodes))
        said = await kubectl("create", "-f", "-", given=manifest)
        assert said == "nodemaintenance.shipkeeper.dev/by-hand created\n"
        await kubectl("wait", "--for=condition=Progressing", "nm/by-hand", LIMIT)
        await kubectl("patch", "nm", "by-hand", "--type=merge", "-p", '{"spec":{"paused":true}}')
        await becomes("Paused")
        await kubectl("wait", "--for=condition=Progressing=false", "nm/by-hand", LIMIT)
        await kubectl("patch", "nm", "by-hand", "--type=merge", "-p", '{"spec":{"paused":false}}')
        await becomes("Running")
        said = await kubectl("delete", "nm", "by-hand", LIMIT)
        assert said == 'nodemaintenance.shipkeeper.dev "by-hand" deleted\n'
        await watcher.shows("Running", "Paused", "Running", "Stopping")
    assert watcher.text.splitlines()[0].split() == ["NAME", "PHASE", "DONE", "UNDER", "WAY", "AGE"]
    cordoned = [(await world.node(each)).spec.unschedulable for each in nodes]
    assert cordoned == [False, False, False, True]
    assert [await each.stop() for each in replicas] == [0, 0]


async def test_its_end_is_waited_for_however_it_ends(world: World, harbour: Harbour) -> None:
    """Succeeded never holds for one that failed: who waits for that would wait in vain."""
    harbour.start()
    nodes = await world.add_nodes(1)
    work = {"waitFor": {"seen": ["reboot"], "limit": "1s"}}
    await harbour.maintain("in-vain", nodes, action=work)
    await harbour.kubectl("wait", "--for=jsonpath={.status.finishedAt}", "nm/in-vain", LIMIT)
    shown = await harbour.kubectl("get", "nm", "in-vain", "-o", "wide")
    assert f"{nodes[0]} still waits for reboot" in shown
    while ("in-vain", "Failed") not in await harbour.events():
        await asyncio.sleep(0.1)
    said = await harbour.kubectl("describe", "nm", "in-vain")
    assert f"1      {nodes[0]}" in said
    (event,) = (line for line in said.splitlines() if line.split()[:2] == ["Warning", "Failed"])
    assert "still waits for reboot" in event


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
async def test_every_field_is_explained(harbour: Harbour, kind: Kind[Any]) -> None:
    version = kind.definition(Version(1, 37, 2))["spec"]["versions"][0]
    for path in objects_in(version["schema"]["openAPIV3Schema"], kind.plural):
        said = await harbour.kubectl("explain", path)
        assert "<no description>" not in said


def objects_in(schema: dict[str, Any], path: str) -> Iterator[str]:
    """The paths of everything that has fields, as `kubectl explain` takes them."""
    properties = schema.get("items", schema).get("properties", {})
    if properties:
        yield path
    for name, field in properties.items():
        yield from objects_in(field, f"{path}.{name}")


async def test_what_is_not_so_is_shown_and_not_left_out(world: World, harbour: Harbour) -> None:
    harbour.start()
    never = {"cron": "0 0 29 2 *"}
    await harbour.create(MAINTENANCE_WINDOW, "closed", {**never, "length": "1h"})
    await harbour.create(CERTIFICATE_REPORT, "none", {"schedule": never})
    await harbour.kubectl("wait", "--for=condition=Open=false", "mw/closed", LIMIT)
    await harbour.kubectl("wait", "--for=condition=Checked", "certificatereports/none", LIMIT)
    (window,) = (await harbour.kubectl("get", "mw/closed", "--no-headers")).splitlines()
    assert window.split()[1] == "false"
    shown = await harbour.kubectl("get", "certificatereports/none", "--no-headers")
    # It may read nothing.
    assert shown.split()[1:5] == ["Incomplete", "0", "0", "0"]
