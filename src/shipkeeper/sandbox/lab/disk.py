"""What is written on the hosts' disks before they boot for the first time."""

import json
import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from shipkeeper.sandbox.assets import Assets
from shipkeeper.sandbox.assets.engines import NODE_ENGINES
from shipkeeper.sandbox.lab.keys import KeyFile
from shipkeeper.sandbox.lab.record import HostRecord

ENDPOINT = "api.lab"
_COMMON = Path(__file__).with_name("rootfs")
_STARTED = ("containerd.service", "kubelet.service", "api-service.service")
_MODES = {
    "etc/sudoers.d/ops": 0o440,
    **dict.fromkeys(("usr/local/bin/crictl", "usr/local/bin/api-service"), 0o755),
}


def write_layer(layer: Path, node: Assets, key: KeyFile) -> None:
    """Write what all hosts of a lab have in common: units, configuration, the node's engines."""
    for file in filter(Path.is_file, _COMMON.rglob("*")):
        name = str(file.relative_to(_COMMON))
        put(layer, name, file.read_bytes(), _MODES.get(name, 0o644))
    for unit in _STARTED:
        wants = _folder(layer, "etc/systemd/system/multi-user.target.wants")
        (wants / unit).symlink_to(f"/etc/systemd/system/{unit}")
    put(layer, "etc/ssh/authorized_keys.lab", key.public)
    programs = _folder(layer, "usr/bin")
    for name in NODE_ENGINES:
        _link(node.directory / name, programs / name)


def write_host(upper: Path, host: HostRecord, hosts_file: str, key: KeyFile) -> None:
    """Write what tells one host from the others."""
    put(upper, "etc/hostname", f"{host.name}\n".encode())
    put(upper, "etc/hosts", hosts_file.encode())
    put(upper, "etc/machine-id", f"{secrets.token_hex(16)}\n".encode())
    put(upper, "etc/ssh/ssh_host_ed25519_key", key.private, 0o600)
    put(upper, "etc/ssh/ssh_host_ed25519_key.pub", key.public)
    put(upper, "etc/cni/net.d/10-lab.conflist", json.dumps(_cni(host)).encode())


def hosts_file(hosts: Iterable[HostRecord]) -> str:
    """`/etc/hosts`: every host by name, and the control-plane hosts by that of the endpoint."""
    lines = ["127.0.0.1 localhost"]
    for host in hosts:
        names = f"{host.name} {ENDPOINT}" if host.role == "control-plane" else host.name
        lines.append(f"{host.address} {names}")
    return "\n".join([*lines, ""])


def put(root: Path, name: str, content: bytes, mode: int = 0o644) -> None:
    """Write a file below `root` with the modes that Debian gives, whatever the umask."""
    path = _folder(root, str(Path(name).parent)) / Path(name).name
    path.write_bytes(content)
    path.chmod(mode)


def _folder(root: Path, name: str) -> Path:
    place = root
    for part in Path(name).parts:
        place /= part
        place.mkdir(parents=True, exist_ok=True)
        place.chmod(0o755)
    return place


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy2(source, target)


def _cni(host: HostRecord) -> dict[str, object]:
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": host.pod_cidr}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False}
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    plugins = [{**bridge, "hairpinMode": True, "ipam": addresses}, ports]
    return {"cniVersion": "0.4.0", "name": "lab", "plugins": plugins}
