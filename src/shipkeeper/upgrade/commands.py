"""What runs on hosts, word for word as users run it; pure.

Source: kubernetes.io, "Upgrading kubeadm clusters" and "Upgrading Linux nodes".
"""

from collections.abc import Iterable

from shipkeeper.etcd.static_pod import HEALTH_CLIENT
from shipkeeper.model.node import Node
from shipkeeper.model.version import Version

APT, DNF = "apt", "dnf"
# Systems by what they call themselves; all others get apt.
_WITH_DNF = ("red hat", "rocky", "alma", "centos", "fedora", "oracle", "amazon")
_KUBELET = "/var/lib/kubelet"
# What kubeadm writes anew when it upgrades a node.
_SETTINGS = f"{_KUBELET}/config.yaml {_KUBELET}/kubeadm-flags.env"
_BEFORE = "/var/backups/shipkeeper/before"
# Where packages come and go, and where kubeadm keeps what it replaces.
_ROOM_IN = "/ /usr /var/cache /var/lib/kubelet /etc/kubernetes"
# A kubelet that refuses its flags or settings ends at once, and is started over and over.
_PID = "systemctl show --property MainPID --value kubelet"
STAYS_UP = (
    f"pid=$({_PID})",
    "sleep 5",
    f'test "$pid" != 0 && test "$pid" = "$({_PID})" || {{ '
    "why=$(journalctl -t kubelet -n 50 -o cat --no-pager | grep -iE 'err|fail' | tail -n 1); "
    'echo "the kubelet does not stay up: $why" >&2; exit 73; }',
)
Lines = tuple[str, ...]
# kubeadm waits for minutes for what cannot start, puts the old one back, and does not say why. The
# kubelet keeps what each try said for a while. Parts of the control plane in kubeadm's order.
TELLS_WHY = (
    "began=$(date +%s)",
    r"""signs='^([^ ]+ ){3}(Error: |panic: |E.*"command failed"|\{"level":"(fatal|panic)")'""",
    "why_down() { for pod in etcd kube-apiserver kube-controller-manager kube-scheduler; do "
    'why=$(find /var/log/pods -path "*/kube-system_$pod-*.log" -newermt "@$began" '
    '-exec grep -hE "$signs" {} + 2>/dev/null | sort | tail -n 1 | cut -d " " -f 4-); '
    'test -z "$why" || { echo "$pod does not stay up: $why" >&2; return; }; done; }',
    "trap '{ code=$?; set +x; } 2>/dev/null; test $code = 0 || why_down' EXIT",
)


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
        *TELLS_WHY,
        f"kubeadm upgrade plan {version}{given}",
        f"kubeadm upgrade apply {version} --yes{force}{given}",
    )


def apply_further(flags: Iterable[str]) -> Lines:
    """Upgrade a further control plane of a hop."""
    return (*TELLS_WHY, *upgrade_node(flags))


def upgrade_node(flags: Iterable[str]) -> Lines:
    """Upgrade what a node keeps of the cluster, as it is in the cluster's settings now."""
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


def kubeadm_back(old: Version, manager: str) -> Lines:
    """Bring kubeadm back to what it was."""
    return (*repository(old, manager), *install(old, manager, "kubeadm"))


def kubelet_package(
    version: Version, manager: str, flags: Iterable[str], *, is_worker: bool
) -> Lines:
    """Bring a drained node's kubelet and kubectl to a version; a worker gets its kubeadm first."""
    kept = f"{_BEFORE}-{version}"
    before = (*kubeadm_package(version, manager), *upgrade_node(flags)) if is_worker else ()
    return (
        # Of a second attempt, too: what the first one found is never written over.
        f"test -d {kept} || {{ mkdir -p {kept}.part && cp -p {_SETTINGS} {kept}.part && "
        f"mv {kept}.part {kept}; }}",
        *before,
        *install(version, manager, "kubelet", "kubectl"),
        *_restart(version),
    )


def kubelet_back(old: Version, version: Version, manager: str, *, is_worker: bool) -> Lines:
    """Give a node its old kubelet and settings back; a control plane's repository stays new."""
    kept = f"{_BEFORE}-{version}"
    packages = ("kubeadm", "kubelet", "kubectl") if is_worker else ("kubelet", "kubectl")
    return (
        *repository(old, manager),
        *install(old, manager, *packages),
        *(() if is_worker else repository(version, manager)),
        f"if [ -d {kept} ]; then cp -p {kept}/* {_KUBELET} && rm -r {kept}; fi",
        *_restart(old),
    )


def _restart(version: Version) -> Lines:
    return (
        "systemctl daemon-reload",
        "systemctl restart kubelet",
        f'test "$(kubelet --version)" = "Kubernetes {version}"',
        *STAYS_UP,
    )


def etcd_client() -> Lines:
    """Show what a client of etcd needs; it is read by us, and never kept in a record."""
    return tuple(f"cat {path}" for path in HEALTH_CLIENT)


def preflight(manager: str) -> Lines:
    """What must be so on a host before anything is changed."""
    tools = "apt-get apt-mark" if manager == APT else "dnf"
    return (
        f'for tool in kubeadm kubelet systemctl {tools}; do command -v "$tool" >/dev/null || '
        '{ echo "there is no $tool on this host" >&2; exit 71; }; done',
        f"for place in {_ROOM_IN}; do "
        'test "$(df -Pk "$place" | awk \'NR==2 {print $4}\')" -gt 1048576 || '
        '{ echo "there is less than 1 GiB of room in $place" >&2; exit 72; }; done',
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
