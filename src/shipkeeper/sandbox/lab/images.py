"""The images that the pods of a lab start from, made from engines and kept in the cache.

Kube-proxy and CoreDNS are stand-ins that do nothing: pods reach each other by address, and no
service address works.
"""

import hashlib
import platform
import re
import shutil
import subprocess
from pathlib import Path

import msgspec

from shipkeeper.paths import cache_dir
from shipkeeper.sandbox.assets import Assets
from shipkeeper.sandbox.assets.engines import ETCD, KUBERNETES_ENGINES, Say
from shipkeeper.sandbox.assets.store import exclusively
from shipkeeper.sandbox.lab.archive import Image, write_archive

PAUSE = "localhost/pause:lab"
BUSYBOX = "localhost/busybox:lab"
_COMMON = "common"
_PAUSE_SCRIPT = Path(__file__).with_name("pause.sh")
_APPLETS = ("sh", "sleep", "httpd", "wget", "nc", "cat", "echo", "mkdir", "hostname", "date")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_LIBRARY = re.compile(r"^\s*(\S+) => (/\S+)", re.MULTILINE)


class Images(msgspec.Struct, frozen=True):
    """The archives of one Kubernetes version."""

    directory: Path

    def archives(self, *, control_plane: bool) -> tuple[Path, ...]:
        """What a host must import, as a control-plane host or as a worker."""
        names = (_COMMON, ETCD, *KUBERNETES_ENGINES) if control_plane else (_COMMON,)
        return tuple(self.directory / f"{name}.tar" for name in names)


def find_images(control_plane: Assets, node: Assets, base: Path, say: Say) -> Images:
    """The images of a version; written now unless they are in the cache."""
    version = control_plane.kubernetes_version
    folder = cache_dir() / "lab-images"
    # Of what is in them only the scripts change while the version does not.
    directory = folder / f"{version}-{hashlib.sha256(_PAUSE_SCRIPT.read_bytes()).hexdigest()[:8]}"
    with exclusively(folder, version, say):
        if not directory.exists():
            say(f"{version}: writing the images of its pods")
            partial = folder / f".{directory.name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            for name, image in _images(control_plane, node, base).items():
                write_archive(image, partial / f"{name}.tar", ARCHITECTURES[platform.machine()])
            partial.rename(directory)
    return Images(directory)


def _images(control_plane: Assets, node: Assets, base: Path) -> dict[str, Image]:
    references = _references(node, control_plane.kubernetes_version)
    images = {
        name: Image(
            references=(references.pop(name),),
            files={
                f"usr/local/bin/{name}": control_plane.directory / name,
                **_libraries(control_plane.directory / name, base),
            },
        )
        for name in (ETCD, *KUBERNETES_ENGINES)
    }
    stand_ins = {f"usr/local/bin/{name}": "/pause" for name in ("kube-proxy", "coredns")}
    images[_COMMON] = Image(
        references=(PAUSE, BUSYBOX, *references.values()),
        files={"bin/busybox": base / "bin/busybox", "pause": _PAUSE_SCRIPT},
        links={**{f"bin/{name}": "busybox" for name in _APPLETS}, **stand_ins},
        entrypoint=("/pause",),
    )
    return images


def _references(node: Assets, version: str) -> dict[str, str]:
    """What kubeadm calls the images of a version, by the last part of their names."""
    command = (node.directory / "kubeadm", "config", "images", "list")
    answer = subprocess.run(
        [*command, "--kubernetes-version", version], capture_output=True, text=True, check=True
    )
    return {line.rpartition("/")[2].partition(":")[0]: line for line in answer.stdout.split()}


def _libraries(program: Path, base: Path) -> dict[str, Path]:
    """The shared libraries that a program needs, out of the hosts' Debian; none if it is static."""
    loader = next(iter(base.glob("lib*/ld-linux*.so.*")))
    folders = ":".join(str(each) for each in base.glob("usr/lib/*-linux-gnu"))
    answer = subprocess.run(
        [loader, "--library-path", folders, "--list", program],
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        return {}
    found = {f"lib/{Path(path).name}": Path(path) for _, path in _LIBRARY.findall(answer.stdout)}
    found.pop(f"lib/{loader.name}", None)
    return {**found, str(loader.relative_to(base)): loader}
