"""A small apt repository for each minor, laid out as that of Kubernetes, and served in a lab."""

import hashlib
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from shipkeeper.sandbox.assets import NODE, find_assets
from shipkeeper.sandbox.assets.engines import NODE_ENGINES, Say
from shipkeeper.sandbox.lab import Lab
from shipkeeper.sandbox.lab.host import Host
from shipkeeper.sandbox.lab.record import SWITCH_ADDRESS
from tests.nodes.fleet.lab_user import eventually

_PORT = 8000
_LIST = "/etc/apt/sources.list.d/kubernetes.list"


def repository_of(folder: Path, version: str) -> Path:
    """Where the packages of a version's minor lie."""
    return folder / f"core:/stable:/{version.rpartition('.')[0]}/deb"


def write_repository(folder: Path, version: str, say: Say) -> None:
    """Packages of kubeadm, kubelet and kubectl of one version, in the repository of its minor."""
    place = repository_of(folder, version)
    place.mkdir(parents=True)
    assets = find_assets(version, say, NODE)
    entries = [_package(place, name, assets.directory / name, version) for name in NODE_ENGINES]
    (place / "Packages").write_text("\n".join(entries))


def _package(place: Path, name: str, program: Path, version: str) -> str:
    number = f"{version.removeprefix('v')}-1.1"
    control = (
        f"Package: {name}\nVersion: {number}\nArchitecture: amd64\n"
        f"Maintainer: nobody <nobody@example.com>\nDescription: {name} for tests\n"
    )
    tree = place / f".{name}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(control)
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin" / name).hardlink_to(program.resolve())
    file = place / f"{name}_{number}_amd64.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(file)],
        check=True,
        capture_output=True,
    )
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    size = file.stat().st_size
    return f"{control}Filename: ./{file.name}\nSize: {size}\nSHA256: {digest}\n"


@contextmanager
def served(lab: Lab, folder: Path, version: str) -> Generator[None]:
    """Serve the repositories to every host, which takes the packages of a version's minor."""
    words = (sys.executable, "-m", "http.server", str(_PORT), "--directory", str(folder))
    server = subprocess.Popen(
        lab.inside(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    minor = version.rpartition(".")[0]
    line = f"deb [trusted=yes] http://{SWITCH_ADDRESS}:{_PORT}/core:/stable:/{minor}/deb/ ./"
    try:
        for host in lab.hosts:
            # Debian's own mirror is not in a lab's network.
            host.run(
                "sh",
                "-c",
                f"rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*; echo '{line}' >{_LIST}",
            )
        eventually(lambda: _answers(lab))
        yield
    finally:
        server.kill()
        server.wait()


def _answers(lab: Lab) -> bool:
    ask = f"import socket; socket.create_connection(({SWITCH_ADDRESS!r}, {_PORT}), 1)"
    words = lab.inside(sys.executable, "-c", ask)
    return not subprocess.run(words, capture_output=True, check=False).returncode


def install(host: Host, version: str, names: Sequence[str] = NODE_ENGINES) -> None:
    """As a user did when the cluster was made: installed, and held."""
    number = version.removeprefix("v")
    wanted = " ".join(f"{name}='{number}-*'" for name in names)
    held = " ".join(names)
    host.run("sh", "-c", f"apt-get update && apt-get install -y {wanted} && apt-mark hold {held}")
