"""Hosts of a control plane: one that is in order, and others with a defect each."""

import base64
import json
from collections.abc import Callable
from datetime import timedelta

import msgspec

from shipkeeper.sandbox.ports import free_ports
from tests.access.certs.authority import CLIENT, SERVER, Pair, authority, leaf
from tests.access.certs.local_host import LocalHost
from tests.access.certs.servers import Server, Servers

Found = set[tuple[str, str]]
DAY = timedelta(days=1)
PKI = "etc/pki"
CLUSTER = authority("kubernetes")
ETCD = authority("etcd-ca")
FRONT = authority("front-proxy-ca")
API_NAMES = ("kubernetes.default.svc", "10.77.0.11", "127.0.0.1")
ADMIN = leaf(CLUSTER, names=(), cn="admin", organizations=("system:masters",), usages=(CLIENT,))


class HostSeed(msgspec.Struct, frozen=True, kw_only=True):
    """A host, and what is to be found on it; `plant` tells that once it knows its ports."""

    name: str
    change: Callable[[LocalHost, "Plan"], Found] = lambda host, plan: set()

    def plant(self, host: LocalHost, servers: Servers) -> Found:
        """Write a host in order, then spoil it."""
        plan = Plan(servers=servers)
        write_host(host, plan)
        found = self.change(host, plan)
        for name, server in plan.serving.items():
            servers.start(server, plan.ports[name])
        return found


class Plan(msgspec.Struct, kw_only=True):
    """What the host's components will serve, and at which ports."""

    servers: Servers
    serving: dict[str, Server] = {}
    ports: dict[str, int] = {}


def write_host(host: LocalHost, plan: Plan) -> None:
    """The files of a control plane by kubeadm, and its servers."""
    both = (SERVER, CLIENT)
    pairs = {
        "apiserver": leaf(CLUSTER, names=API_NAMES, cn="kube-apiserver"),
        "apiserver-kubelet-client": leaf(CLUSTER, names=(), usages=(CLIENT,)),
        "apiserver-etcd-client": leaf(ETCD, names=(), usages=(CLIENT,)),
        "front-proxy-client": leaf(FRONT, names=(), usages=(CLIENT,)),
        "etcd/server": leaf(ETCD, names=("127.0.0.1", "localhost"), usages=both),
        "etcd/peer": leaf(ETCD, names=("127.0.0.1",), usages=both),
        "etcd/healthcheck-client": leaf(ETCD, names=(), usages=(CLIENT,)),
    }
    for name, pair in pairs.items():
        write_pair(host, name, pair)
    for name, pair in (("ca", CLUSTER), ("etcd/ca", ETCD), ("front-proxy-ca", FRONT)):
        write_pair(host, name, pair)
    for name in ("admin", "controller-manager", "scheduler"):
        host.write(f"etc/{name}.conf", kubeconfig(ADMIN))
    host.write("lib/pki/kubelet-client-current.pem", ADMIN.certificate + ADMIN.key)
    kubelet = leaf(None, names=("n",))
    host.write("lib/pki/kubelet.crt", kubelet.certificate)
    host.write("lib/pki/kubelet.key", kubelet.key)
    plan.serving = {
        "api": Server(pair=pairs["apiserver"], otherwise=403),
        "etcd": Server(pair=pairs["etcd/server"], clients_of=ETCD),
        "peer": Server(pair=pairs["etcd/peer"], clients_of=ETCD),
        "kubelet": Server(pair=kubelet, otherwise=401),
        "scheduler": Server(pair=leaf(None, names=("localhost",)), otherwise=403),
    }
    plan.ports = dict(zip(plan.serving, free_ports(len(plan.serving)), strict=True))
    host.write("lib/config.yaml", f"port: {plan.ports['kubelet']}\n".encode())
    write_manifests(host, plan)


def write_manifests(host: LocalHost, plan: Plan, **more: str) -> None:
    """The static pods, with the ports of the plan; further flags are the API server's."""
    pki = "/etc/kubernetes/pki"
    etcd, peer = (f"https://127.0.0.1:{plan.ports[name]}" for name in ("etcd", "peer"))
    manifest(
        host,
        "kube-apiserver",
        {
            "secure-port": str(plan.ports["api"]),
            "tls-cert-file": f"{pki}/apiserver.crt",
            "client-ca-file": f"{pki}/ca.crt",
            "kubelet-client-certificate": f"{pki}/apiserver-kubelet-client.crt",
            "etcd-cafile": f"{pki}/etcd/ca.crt",
            "etcd-certfile": f"{pki}/apiserver-etcd-client.crt",
            "requestheader-client-ca-file": f"{pki}/front-proxy-ca.crt",
            "proxy-client-cert-file": f"{pki}/front-proxy-client.crt",
            **{name.replace("_", "-"): value for name, value in more.items()},
        },
    )
    manifest(
        host,
        "etcd",
        {
            "listen-client-urls": etcd,
            "advertise-client-urls": etcd,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "cert-file": f"{pki}/etcd/server.crt",
            "trusted-ca-file": f"{pki}/etcd/ca.crt",
            "peer-cert-file": f"{pki}/etcd/peer.crt",
            "peer-trusted-ca-file": f"{pki}/etcd/ca.crt",
        },
    )
    port = str(plan.ports["scheduler"])
    manifest(host, "kube-scheduler", {"bind-address": "127.0.0.1", "secure-port": port})


def manifest(host: LocalHost, name: str, flags: dict[str, str]) -> None:
    command = [name, *(f"--{flag}={value}" for flag, value in flags.items())]
    pod = {
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"command": command}]},
    }
    host.write(f"etc/manifests/{name}.yaml", json.dumps(pod).encode())


def write_pair(host: LocalHost, name: str, pair: Pair) -> None:
    host.write(f"{PKI}/{name}.crt", pair.certificate)
    host.write(f"{PKI}/{name}.key", pair.key)


def kubeconfig(user: Pair, server: str = "https://10.77.0.11:6443", quote: str = "") -> bytes:
    """A kubeconfig as kubeadm writes it."""

    def data(content: bytes) -> str:
        return f"{quote}{base64.b64encode(content).decode()}{quote}"

    return f"""apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {data(CLUSTER.certificate)}
    server: {server}
  name: kubernetes
kind: Config
users:
- name: user
  user:
    client-certificate-data: {data(user.certificate)}
    client-key-data: {data(user.key)}
""".encode()


def _stale(host: LocalHost, plan: Plan) -> Found:
    """Renewed on disk, and never restarted."""
    write_pair(host, "apiserver", leaf(CLUSTER, names=API_NAMES, cn="kube-apiserver"))
    return {("StaleProcess", f"kube-apiserver {host.name}:{plan.ports['api']}")}


def _stale_peer(host: LocalHost, plan: Plan) -> Found:
    fresh = leaf(ETCD, names=("127.0.0.1",), usages=(SERVER, CLIENT))
    write_pair(host, "etcd/peer", fresh)
    return {("StaleProcess", f"etcd peer {host.name}:{plan.ports['peer']}")}


def _shared(host: LocalHost, plan: Plan) -> Found:
    """One authority for users and for aggregation, and no names by which they are told apart."""
    write_pair(host, "front-proxy-ca", CLUSTER)
    write_pair(host, "front-proxy-client", leaf(CLUSTER, names=(), usages=(CLIENT,)))
    return {("SharedAuthority", f"{host.name}:/etc/kubernetes/pki/front-proxy-ca.crt")}


def _shared_but_named(host: LocalHost, plan: Plan) -> Found:
    _shared(host, plan)
    write_manifests(host, plan, requestheader_allowed_names="front-proxy-client")
    return set()


def _ended_login(host: LocalHost, plan: Plan) -> Found:
    host.write("etc/admin.conf", kubeconfig(leaf(CLUSTER, usages=(CLIENT,), ends=-DAY)))
    return {("Expired", f"{host.name}:/etc/kubernetes/admin.conf")}


def _foreign_login(host: LocalHost, plan: Plan) -> Found:
    host.write("etc/scheduler.conf", kubeconfig(leaf(FRONT, names=(), usages=(CLIENT,))))
    return {("Untrusted", f"{host.name}:/etc/kubernetes/scheduler.conf")}


def _swapped_key(host: LocalHost, plan: Plan) -> Found:
    host.write(f"{PKI}/apiserver-etcd-client.key", leaf(ETCD).key)
    return {("KeyMismatch", f"{host.name}:/etc/kubernetes/pki/apiserver-etcd-client.crt")}


def _unserved_name(host: LocalHost, plan: Plan) -> Found:
    """A kubeconfig comes by a name that the API server's certificate does not have."""
    host.write("etc/admin.conf", kubeconfig(ADMIN, server="https://api.example.com:6443"))
    return {
        ("WrongName", f"{host.name}:/etc/kubernetes/pki/apiserver.crt"),
        ("WrongName", f"kube-apiserver {host.name}:{plan.ports['api']}"),
    }


def _peer_cannot_call(host: LocalHost, plan: Plan) -> Found:
    pair = leaf(ETCD, names=("127.0.0.1",), usages=(SERVER,))
    write_pair(host, "etcd/peer", pair)
    plan.serving["peer"] = Server(pair=pair, clients_of=ETCD)
    return {
        ("WrongUsage", f"{host.name}:/etc/kubernetes/pki/etcd/peer.crt"),
        ("WrongUsage", f"etcd peer {host.name}:{plan.ports['peer']}"),
    }


def _quoted(host: LocalHost, plan: Plan) -> Found:
    host.write("etc/admin.conf", kubeconfig(ADMIN, quote='"'))
    return set()


def _rotating_kubelet(host: LocalHost, plan: Plan) -> Found:
    """The kubelet rotates its serving certificate; its first, self-made one is left over."""
    served = leaf(CLUSTER, names=("n",))
    host.write("lib/pki/kubelet-server-current.pem", served.certificate + served.key)
    first = leaf(None, ends=-DAY)
    host.write("lib/pki/kubelet.crt", first.certificate)
    host.write("lib/pki/kubelet.key", first.key)
    plan.serving["kubelet"] = Server(pair=served, otherwise=401)
    return set()


HOST_SEEDS = (
    HostSeed(name="in-order"),
    HostSeed(name="stale", change=_stale),
    HostSeed(name="stale-peer", change=_stale_peer),
    HostSeed(name="shared-authority", change=_shared),
    HostSeed(name="shared-but-named", change=_shared_but_named),
    HostSeed(name="ended-login", change=_ended_login),
    HostSeed(name="foreign-login", change=_foreign_login),
    HostSeed(name="swapped-key", change=_swapped_key),
    HostSeed(name="unserved-name", change=_unserved_name),
    HostSeed(name="peer-cannot-call", change=_peer_cannot_call),
    HostSeed(name="quoted", change=_quoted),
    HostSeed(name="rotating-kubelet", change=_rotating_kubelet),
)
