"""Making a lab: its directory, its hosts, its cluster."""

import shutil
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from shipkeeper.sandbox import names
from shipkeeper.sandbox.assets import NODE, Assets, find_assets
from shipkeeper.sandbox.assets.engines import Say
from shipkeeper.sandbox.errors import SandboxError
from shipkeeper.sandbox.files import write_private
from shipkeeper.sandbox.lab import kubeadm
from shipkeeper.sandbox.lab.base import find_base
from shipkeeper.sandbox.lab.disk import ENDPOINT, hosts_file, write_host, write_layer
from shipkeeper.sandbox.lab.host import Host
from shipkeeper.sandbox.lab.images import Images, find_images
from shipkeeper.sandbox.lab.keys import new_key, write_key, write_known_hosts
from shipkeeper.sandbox.lab.layout import LabLayout
from shipkeeper.sandbox.lab.limits import raise_limit
from shipkeeper.sandbox.lab.network import Switch
from shipkeeper.sandbox.lab.record import (
    CONTROL_PLANE,
    WORKER,
    HostRecord,
    LabRecord,
    write_lab_record,
)

_READY_SECONDS = 180.0


def bring_up(layout: LabLayout, version: str, hosts: tuple[HostRecord, ...], say: Say) -> None:
    """Make a lab out of nothing and wait until every node is Ready."""
    control_plane = find_assets(version, say)
    node = find_assets(version, say, NODE)
    base = find_base(say)
    images = find_images(control_plane, node, base, say)
    began = time.monotonic()
    record = LabRecord(version=version, created=datetime.now(UTC), hosts=hosts, base=str(base))
    _prepare(layout, record, node)
    machines = [Host(layout, record, each) for each in hosts]
    say(f"booting {len(machines)} hosts")
    Switch(layout.tag).create(hosts)
    raise_limit()
    boot(machines)
    with ThreadPoolExecutor() as pool:
        list(pool.map(partial(_import, images), machines))
    _form_cluster(layout, version, machines, say)
    write_lab_record(layout, msgspec.structs.replace(record, finished=True))
    say(f"lab {layout.name} is up after {time.monotonic() - began:.1f} s")


def boot(hosts: Sequence[Host]) -> None:
    """Give power to hosts and wait until they are up."""
    for host in hosts:
        host.power_on()
    for host in hosts:
        host.wait_until_up()


def wait_until_ready(hosts: Sequence[Host]) -> None:
    """Wait until every host is a Ready node."""
    first = hosts[0]
    wait = ("kubectl", "wait", "--for=condition=Ready", "--timeout=5s")
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        answer = first.run(*wait, *(f"node/{host.name}" for host in hosts), check=False)
        if not answer.returncode:
            return
        if time.monotonic() > deadline:
            raise SandboxError(
                f"not every node became Ready: {answer.stderr.strip()}",
                reason="NotReady",
                hint="look at the journal of its kubelet: journalctl -u kubelet on the host",
            )
        time.sleep(0.5)


def _prepare(layout: LabLayout, record: LabRecord, node: Assets) -> None:
    """Make the directory of a new lab; it appears complete or not at all."""
    shutil.rmtree(layout.unfinished, ignore_errors=True)
    unfinished = LabLayout(layout.unfinished)
    user = new_key(f"shipkeeper-lab-{layout.name}")
    write_key(unfinished.ssh_key, user)
    write_layer(unfinished.layer, node, user)
    known = hosts_file(record.hosts)
    unfinished.hosts_file.write_text(known)
    keys = {each: new_key(each.name) for each in record.hosts}
    for each, key in keys.items():
        unfinished.host(each.name).create()
        write_host(unfinished.host(each.name).upper, each, known, key)
    write_known_hosts(
        unfinished.known_hosts, {(host.name, host.address): key for host, key in keys.items()}
    )
    write_lab_record(unfinished, record)
    layout.unfinished.rename(layout.directory)


def _import(images: Images, host: Host) -> None:
    import_images(images.archives(control_plane=host.role == CONTROL_PLANE), host)


def import_images(archives: Sequence[Path], host: Host) -> None:
    """Give a host images that its pods can start from."""
    for archive in archives:
        with archive.open("rb") as file:
            host.run("ctr", "--namespace=k8s.io", "images", "import", "-", stdin=file)


def _form_cluster(layout: LabLayout, version: str, hosts: Sequence[Host], say: Say) -> None:
    first, *others = hosts
    say(f"kubeadm init on {first.name}")
    invitation = kubeadm.initialise(first, version)
    kubeconfig = first.run("cat", kubeadm.ADMIN_KUBECONFIG).stdout
    write_private(layout.kubeconfig(names.ADMIN), kubeconfig.encode())
    say(f"{len(others)} hosts join")
    with ThreadPoolExecutor() as pool:
        workers = [each for each in others if each.role == WORKER]
        joining = [pool.submit(kubeadm.join, each, version, invitation) for each in workers]
        # One after the other: each of them adds a member to etcd.
        for each in others:
            if each.role == CONTROL_PLANE:
                kubeadm.join(each, version, invitation)
        for each in joining:
            each.result()
    wait_until_ready(hosts)


def server() -> str:
    """The API server's URL, for whoever is inside the lab's network."""
    return f"https://{ENDPOINT}:6443"
