"""A cluster with the operator's manifests in it, and replicas that run as its ServiceAccount."""

import asyncio
import itertools
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import yaml

from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.resources import LEASES
from shipkeeper.kube.writer import Writer
from shipkeeper.model.lease import Lease
from shipkeeper.model.version import Version
from shipkeeper.operator.api.kind import CustomObject, Kind
from shipkeeper.operator.api.kinds import KINDS
from shipkeeper.operator.api.maintenance import NODE_MAINTENANCE, NodeMaintenanceStatus
from shipkeeper.operator.manifests import ManifestOptions, as_text, manifests
from shipkeeper.operator.run import LEASE
from shipkeeper.sandbox.sandbox import Sandbox
from tests.cli.run import SHIPKEEPER
from tests.forks import Command, Fork
from tests.operator.dying import Request, replicate

NAMESPACE = "shipkeeper-system"
ACCOUNT = "shipkeeper-operator"
IMAGE = "shipkeeper:test"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
KUBECTL = str(Path(sys.executable).parent / "kubectl")
# After a death: a budget counts an eviction whose caller died in its midst for two minutes more
# (DeletionTimeout in pkg/controller/disruption).
AFTER_DEATH = 300.0  # seconds
_LEADS = re.compile(r"^\S+ leads$", re.MULTILINE)
_numbers = itertools.count(1)
_DEFINITION = "CustomResourceDefinition"
# By sandbox, the definitions that it has: they are large, and most of the work of setting up.
_defined: dict[str, str] = {}


class Replica:
    """One process of the operator."""

    def __init__(self, process: Fork, log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def said(self) -> str:
        """Everything that it said so far."""
        return self._log.read_text()

    async def says(self, text: str, *, within: float = 400.0) -> None:
        """Return once it said something."""
        await self._until(lambda: text in self.said, within)

    async def leads(self, *, within: float = 400.0) -> None:
        """Return once it leads itself, and does not only tell who does."""
        await self._until(lambda: _LEADS.search(self.said) is not None, within)

    async def _until(self, holds: Callable[[], bool], within: float) -> None:
        async with asyncio.timeout(within):
            while not holds():
                assert self.process.poll() is None, self.said
                await asyncio.sleep(0.05)

    async def ends(self, *, within: float = 400.0) -> int:
        """Its exit code, once it ended."""
        return await asyncio.to_thread(self.process.wait, within)

    async def where(self) -> str:
        """All that it said, and where it waits now if it runs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGUSR1)
            await asyncio.sleep(1)
        return self.said

    def kill(self) -> None:
        """Kill it at once."""
        self.process.kill()
        self.process.wait()

    async def stop(self) -> int:
        """Ask it to end in order; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await self.ends()


class Harbour:
    """The operator in a cluster, as its administrator sees it."""

    def __init__(self, sandbox: Sandbox, connection: Connection, directory: Path) -> None:
        self.sandbox = sandbox
        self.connection = connection
        self.reader = Reader(connection)
        self.writer = Writer(connection)
        self.directory = directory
        self.kubeconfig = directory / "operator.kubeconfig"
        self.replicas: list[Replica] = []

    async def set_up(self, **options: Any) -> None:
        """Apply the manifests, without pods, and log in as the ServiceAccount."""
        found = manifests(
            ManifestOptions(
                version=Version.parse(self.sandbox.version),
                image=IMAGE,
                lease=LEASE,
                replicas=0,
                **options,
            )
        )
        definitions = as_text([each for each in found if each["kind"] == _DEFINITION])
        if _defined.get(self.sandbox.name) == definitions:
            found = tuple(each for each in found if each["kind"] != _DEFINITION)
        await self.kubectl("apply", "--server-side", "-f", "-", given=as_text(found))
        _defined[self.sandbox.name] = definitions
        await self.log_in(ACCOUNT, self.kubeconfig)

    async def log_in(self, account: str, kubeconfig: Path, namespace: str = NAMESPACE) -> None:
        """Write a kubeconfig of a ServiceAccount, with a token of its own."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        body: dict[str, Any] = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {},
        }
        answer = msgspec.json.decode(await self.connection.send("POST", path, body=body))
        config = yaml.safe_load(self.sandbox.kubeconfig.read_text())
        config["users"] = [{"name": account, "user": {"token": answer["status"]["token"]}}]
        for context in config["contexts"]:
            context["context"]["user"] = account
        await asyncio.to_thread(kubeconfig.write_text, yaml.safe_dump(config))

    def go_through(self, kubeconfig: Path) -> None:
        """Have replicas that start from now on reach the API server as a kubeconfig does."""
        ours, other = (yaml.safe_load(each.read_text()) for each in (self.kubeconfig, kubeconfig))
        for each in ours["clusters"]:
            each["cluster"] = other["clusters"][0]["cluster"]
        self.kubeconfig.write_text(yaml.safe_dump(ours))

    async def kubectl(self, *arguments: str, given: str = "") -> str:
        """What kubectl prints, as the cluster's administrator."""
        answer = await asyncio.to_thread(
            subprocess.run,
            [KUBECTL, f"--kubeconfig={self.sandbox.kubeconfig}", *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    async def events(self) -> list[tuple[str, str]]:
        """The Events about objects of ours: the object's name, and the reason."""
        form = 'jsonpath={range .items[*]}{.involvedObject.name} {.reason}{"\\n"}{end}'
        said = await self.kubectl("get", "events", "--namespace=default", "-o", form)
        return [(name, reason) for line in said.splitlines() for name, reason in [line.split(" ")]]

    def start(self, **wishes: Any) -> Replica:
        """Start a replica whose Lease lasts for a few seconds only."""
        number = next(_numbers)
        directory = self.directory / f"state-{number}"
        request = Request(
            kubeconfig=str(self.kubeconfig),
            namespace=NAMESPACE,
            directory=str(directory),
            **wishes,
        )
        return self._start(number, partial(replicate, request), {})

    def start_command(
        self, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> Replica:
        """Start a replica as a pod does."""
        number = next(_numbers)
        state = {
            "XDG_STATE_HOME": str(self.directory / f"state-{number}"),
            "SHIPKEEPER_IMAGE": IMAGE,
        }
        command = [SHIPKEEPER, "operator", "run", f"--kubeconfig={self.kubeconfig}", *arguments]
        return self._start(number, Command(command), {**state, **(environment or {})})

    def _start(
        self, number: int, what: Callable[[], int | None], environment: Mapping[str, str]
    ) -> Replica:
        log = self.directory / f"replica-{number}.log"
        log.touch()
        home = {"PATH": "/usr/bin:/bin", "HOME": str(self.directory), **environment}
        replica = Replica(Fork(what, log, log, home), log)
        self.replicas.append(replica)
        return replica

    def end_all(self) -> None:
        """Kill every replica."""
        for each in self.replicas:
            if each.process.poll() is None:
                each.kill()
        self.replicas.clear()

    async def retire(self) -> None:
        """Kill every replica, and let the next one lead at once."""
        self.end_all()
        with suppress(NotFoundError):
            await self.writer.delete(LEASES, LEASE, namespace=NAMESPACE)

    async def clear(self) -> None:
        """End every replica, and remove every object of ours."""
        await self.retire()
        for kind in KINDS:
            for each in (await self.reader.list(kind.resource)).items:
                patch = {"metadata": {"finalizers": None}}
                await self.writer.patch(kind.resource, each.name, patch)
                with suppress(NotFoundError):
                    await self.writer.delete(kind.resource, each.name)

    @asynccontextmanager
    async def tenures(self) -> AsyncGenerator[list[Lease]]:
        """Every state of the Lease of whoever leads, as the API server told them, from now on."""
        seen: list[Lease] = []
        field = f"metadata.name={LEASE}"
        following = Reflector(self.reader, LEASES, namespace=NAMESPACE, field_selector=field)
        following.subscribe(lambda change: seen.append(change.object))
        async with following:
            yield seen

    async def create(self, kind: Kind[Any], name: str, spec: dict[str, Any]) -> CustomObject:
        """Create an object of ours."""
        manifest = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        return await self.writer.create(kind.resource, manifest)

    async def maintain(self, name: str, nodes: tuple[str, ...], **spec: Any) -> CustomObject:
        """Create a NodeMaintenance that waits a moment at each node."""
        asked = {"nodes": {"names": list(nodes)}, "action": {"wait": "100ms"}, **spec}
        return await self.create(NODE_MAINTENANCE, name, asked)

    async def patch(self, name: str, spec: dict[str, Any]) -> None:
        """Change what a NodeMaintenance asks for."""
        await self.writer.patch(NODE_MAINTENANCE.resource, name, {"spec": spec})

    async def status(self, name: str) -> NodeMaintenanceStatus:
        """How a NodeMaintenance stands."""
        found = await self.reader.get(NODE_MAINTENANCE.resource, name)
        return status_of(found)

    async def stands(
        self,
        name: str,
        predicate: Callable[[NodeMaintenanceStatus], bool],
        *,
        within: float = 400.0,
    ) -> NodeMaintenanceStatus:
        """The status of a NodeMaintenance, once it is as wanted."""
        resource = NODE_MAINTENANCE.resource
        async with Reflector(
            self.reader, resource, field_selector=f"metadata.name={name}"
        ) as following:

            def holds(objects: Mapping[str, CustomObject]) -> bool:
                return name in objects and predicate(status_of(objects[name]))

            try:
                async with asyncio.timeout(within):
                    await following.wait_for(holds)
            except TimeoutError:
                said = "\n".join([await each.where() for each in self.replicas])
                stands = status_of(following.objects[name]) if following.objects else None
                raise AssertionError(f"{stands}\n{said}") from None
            return status_of(following.objects[name])

    async def reaches(
        self, name: str, *phases: str, within: float = 400.0
    ) -> NodeMaintenanceStatus:
        """The status of a NodeMaintenance, once it is in one of some phases."""
        return await self.stands(name, lambda status: status.phase in phases, within=within)

    async def delete(self, name: str, *, within: float = 400.0) -> None:
        """Delete a NodeMaintenance and wait until it is gone."""
        resource = NODE_MAINTENANCE.resource
        try:
            await self.writer.delete(resource, name)
        except NotFoundError:
            return
        async with (
            Reflector(self.reader, resource) as following,
            asyncio.timeout(within),
        ):
            await following.wait_for(lambda objects: name not in objects)


def status_of(found: CustomObject) -> NodeMaintenanceStatus:
    """The status of a NodeMaintenance."""
    return msgspec.json.decode(found.status, type=NodeMaintenanceStatus)
