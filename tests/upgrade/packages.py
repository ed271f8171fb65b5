"""A small apt repository for each minor, laid out as that of Kubernetes, and put on lab hosts."""

import hashlib
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

from shipkeeper.sandbox.assets import NODE, find_assets
from shipkeeper.sandbox.assets.engines import NODE_ENGINES, Say
from shipkeeper.sandbox.lab import Lab
from shipkeeper.sandbox.lab.host import Host

ROOT = "/opt/packages"
_LIST = "/etc/apt/sources.list.d/kubernetes.list"


def write_repository(folder: Path, version: str, say: Say) -> None:
    """Packages of kubeadm, kubelet and kubectl of one version, in the repository of its minor."""
    minor = version.rpartition(".")[0]
    place = folder / f"core:/stable:/{minor}/deb"
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


def put_on(lab: Lab, folder: Path, minor: str) -> None:
    """Let every host have the repositories, and take packages of one minor."""
    packed = _packed(folder)
    line = f"deb [trusted=yes] file:{ROOT}/core:/stable:/{minor}/deb/ ./"
    for host in lab.hosts:
        with packed.open("rb") as archive:
            host.run("sh", "-c", f"mkdir -p {ROOT} && tar -C {ROOT} -xf -", stdin=archive)
        # Debian's own mirror is not in a lab's network.
        host.run(
            "sh",
            "-c",
            f"rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*; echo '{line}' >{_LIST}",
        )


def install(host: Host, version: str, names: Sequence[str] = NODE_ENGINES) -> None:
    """As a user did when the cluster was made: installed, and held."""
    number = version.removeprefix("v")
    wanted = " ".join(f"{name}='{number}-*'" for name in names)
    held = " ".join(names)
    host.run("sh", "-c", f"apt-get update && apt-get install -y {wanted} && apt-mark hold {held}")


def _packed(folder: Path) -> Path:
    packed = folder.parent / "packages.tar"
    with tarfile.open(packed, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and not any(
                part.startswith(".") for part in file.relative_to(folder).parts
            ):
                archive.add(file, str(file.relative_to(folder)))
    return packed
