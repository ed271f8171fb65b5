"""What runs on hosts, word for word as users run it; pure.

Source: kubernetes.io, "Upgrading kubeadm clusters" and "Upgrading Linux nodes".
"""

from collections.abc import Iterable

from shipkeeper.model.node import Node
from shipkeeper.model.version import Version
from shipkeeper.upgrade.options import BACKUP_FOLDER

APT, DNF = "apt", "dnf"
# Systems by what they call themselves; all others get apt.
_WITH_DNF = ("red hat", "rocky", "alma", "centos", "fedora", "oracle", "amazon")
_ETCD_CERTIFICATES = (
    "--endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt "
    "--cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key"
)
Lines = tuple[str, ...]


def manager_of(node: Node, wanted: str) -> str:
    """The package manager of a node's system, unless one is wanted."""
    system = node.status.node_info.os_image.lower()
    return wanted or (DNF if any(each in system for each in _WITH_DNF) else APT)


def repository(version: Version, manager: str) -> Lines:
    """Point the host's repository of Kubernetes to a minor: there is one for each."""
    minor = f"/core:/stable:/v{version.major}.{version.minor}/"
    change = rf"s#/core:/stable:/v[0-9]*\.[0-9]*/#{minor}#"
    if manager == APT:
        return (f"sed -i '{change}' /etc/apt/sources.list.d/kubernetes.list", "apt-get update")
    return (f"sed -i '{change}' /etc/yum.repos.d/kubernetes.repo", "dnf makecache")


def install(version: Version, manager: str, *packages: str) -> Lines:
    """Install packages of a version, which are otherwise held where they are."""
    number = f"{version.major}.{version.minor}.{version.patch}"
    names = " ".join(packages)
    if manager == APT:
        wanted = " ".join(f"{each}='{number}-*'" for each in packages)
        return (
            f"apt-mark unhold {names}",
            f"apt-get install -y --allow-downgrades {wanted}",
            f"apt-mark hold {names}",
        )
    wanted = " ".join(f"'{each}-{number}-*'" for each in packages)
    return (f"dnf install -y {wanted} --disableexcludes=kubernetes",)


def kubeadm_package(version: Version, manager: str) -> Lines:
    """Bring kubeadm to a version."""
    return (
        *repository(version, manager),
        *install(version, manager, "kubeadm"),
        f'test "$(kubeadm version -o short)" = {version}',
    )


def apply_first(version: Version, flags: Iterable[str], *, is_forced: bool) -> Lines:
    """Upgrade the first control plane of a hop, and what the whole cluster shares."""
    given = _joined(flags)
    force = " --force" if is_forced else ""
    return (
        f"kubeadm upgrade plan {version}{given}",
        f"kubeadm upgrade apply {version} --yes{force}{given}",
    )


def upgrade_node(flags: Iterable[str]) -> Lines:
    """Upgrade a further control plane, or what a worker keeps of the cluster's settings."""
    return (f"kubeadm upgrade node{_joined(flags)}",)


def pin_controllers(address: str) -> Lines:
    """Let the controllers of a host reach the API server beside them alone."""
    server = f"https://{address}:6443"
    files = "/etc/kubernetes/controller-manager.conf /etc/kubernetes/scheduler.conf"
    return (
        f"for file in {files}; do "
        f'grep -qF "server: {server}" "$file" || '
        f"sed -i 's#server: https://.*#server: {server}#' \"$file\"; done",
        # What runs has read the old ones.
        'for name in kube-controller-manager kube-scheduler; do pkill -x "$name" || true; done',
    )


def kubelet_package(
    version: Version, manager: str, flags: Iterable[str], *, is_worker: bool
) -> Lines:
    """Bring a drained node's kubelet and kubectl to a version; a worker gets its kubeadm first."""
    before = (*kubeadm_package(version, manager), *upgrade_node(flags)) if is_worker else ()
    return (
        *before,
        *install(version, manager, "kubelet", "kubectl"),
        "systemctl daemon-reload",
        "systemctl restart kubelet",
        f'test "$(kubelet --version)" = "Kubernetes {version}"',
    )


def snapshot(name: str) -> Lines:
    """Save etcd, by a client on the host or else the one in etcd's container, with its hash."""
    file = f"{BACKUP_FOLDER}/{name}.db"
    inside = f"/var/lib/etcd/{name}.db"
    client = "env ETCDCTL_API=3 etcdctl"
    save = f"{_ETCD_CERTIFICATES} snapshot save"
    return (
        f"umask 077; mkdir -p {BACKUP_FOLDER}",
        f"if command -v etcdctl >/dev/null; then {client} {save} {file}; else "
        f"crictl exec \"$(crictl ps -q --name '^etcd$')\" etcdctl {save} {inside} && "
        f"mv {inside} {file}; fi",
        f"cd {BACKUP_FOLDER} && sha256sum {name}.db >{name}.db.sha256",
        f"cd {BACKUP_FOLDER} && sha256sum -c {name}.db.sha256",
    )


def preflight(manager: str) -> Lines:
    """What must be so on a host before anything is changed."""
    tools = "apt-get apt-mark" if manager == APT else "dnf"
    return (
        f'for tool in kubeadm kubelet systemctl {tools}; do command -v "$tool" >/dev/null || '
        '{ echo "there is no $tool on this host" >&2; exit 71; }; done',
        "test \"$(df -Pk / | awk 'NR==2 {print $4}')\" -gt 1048576 || "
        '{ echo "there is less than 1 GiB of room on /" >&2; exit 72; }',
        "systemctl is-active kubelet",
    )


def as_script(lines: Iterable[str]) -> str:
    """The lines as a shell runs them: it shows each, and ends at the first that fails."""
    head = (
        "export DEBIAN_FRONTEND=noninteractive KUBECONFIG=/etc/kubernetes/admin.conf",
        "set -eux",
    )
    return "\n".join((*head, *lines, ""))


def _joined(flags: Iterable[str]) -> str:
    return "".join(f" {each}" for each in flags)
