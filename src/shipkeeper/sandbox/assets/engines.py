"""The engines of a control plane and of a node, and how a way to get them says it cannot."""

import re
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from shipkeeper.errors import ShipkeeperError
from shipkeeper.sandbox.assets.versions import MINIMUM_ETCD, pairing, version_key

ETCD = "etcd"
KUBERNETES_ENGINES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
ENGINES = (ETCD, *KUBERNETES_ENGINES)
NODE_ENGINES = ("kubelet", "kubeadm", "kubectl")

Say = Callable[[str], None]

_QUESTIONS = {"kubeadm": ("version", "-o=short"), "kubectl": ("version", "--client", "-o=json")}
_REPORTED = re.compile(
    r'^(?:Kubernetes |etcd Version: |\s*"gitVersion": "|(?=v))(v?\d+\.\d+\.\d+[^\s"]*)',
    re.MULTILINE,
)


class Kit(msgspec.Struct, frozen=True, kw_only=True):
    """Engines that are had together: the cache's folder for them, and their names."""

    folder: str
    kubernetes: tuple[str, ...]
    etcd: bool

    @property
    def names(self) -> tuple[str, ...]:
        """All of them."""
        return ((ETCD,) if self.etcd else ()) + self.kubernetes


CONTROL_PLANE = Kit(folder="engines", kubernetes=KUBERNETES_ENGINES, etcd=True)
NODE = Kit(folder="node-engines", kubernetes=NODE_ENGINES, etcd=False)


class Assets(msgspec.Struct, frozen=True, kw_only=True):
    """The engines of one Kubernetes version (`v1.37.2`): where they lie, which way they came.

    `source` is `SHIPKEEPER_ASSETS`, `PATH`, `cache`, `download`, `go` or `debian`.
    """

    kubernetes_version: str
    directory: Path
    source: str

    @property
    def etcd(self) -> Path:
        """The etcd server."""
        return self.directory / "etcd"

    @property
    def kube_apiserver(self) -> Path:
        """The API server."""
        return self.directory / "kube-apiserver"

    @property
    def kube_controller_manager(self) -> Path:
        """The controller manager."""
        return self.directory / "kube-controller-manager"

    @property
    def kube_scheduler(self) -> Path:
        """The scheduler."""
        return self.directory / "kube-scheduler"


class AssetsError(ShipkeeperError):
    """No way gives the engines; the message lists each way and why it did not serve."""


class NotServedError(ShipkeeperError):
    """One way cannot serve; the message's first line says why, further lines are evidence."""


def require_version(directory: Path, kubernetes_version: str, kit: Kit = CONTROL_PLANE) -> None:
    """Start every engine in `directory` for its version, or NotServedError for the first misfit."""
    with ThreadPoolExecutor() as pool:
        answers = pool.map(_report, [directory / name for name in kit.names])
        reported = dict(zip(kit.names, answers, strict=True))
    for name in kit.kubernetes:
        if reported[name].partition("+")[0] != kubernetes_version:
            raise NotServedError(f"{directory / name} is {reported[name]}")
    if kit.etcd:
        _require_etcd(directory, kubernetes_version, reported[ETCD])


def _require_etcd(directory: Path, kubernetes_version: str, reported: str) -> None:
    minimum = pairing(kubernetes_version, MINIMUM_ETCD)
    if version_key(reported) < version_key(minimum):
        raise NotServedError(
            f"{directory / ETCD} is {reported}, {kubernetes_version} needs {minimum} or newer"
        )


def _report(engine: Path) -> str:
    question = _QUESTIONS.get(engine.name, ("--version",))
    try:
        answer = subprocess.run(
            [engine, *question], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotServedError(f"{engine} does not run: {error}") from error
    version = _REPORTED.search(answer.stdout)
    if answer.returncode or not version:
        lines = (answer.stderr or answer.stdout).strip().splitlines() or ["it printed nothing"]
        raise NotServedError(f"{engine} does not tell its version: {lines[-1]}")
    return version[1]
