"""Defects and their look-alikes, planted into a real API server, real TLS ports and real files.

A seed with rules is a defect, and those are what must be found of it; one without is a look-alike.
"""

import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import connect
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.sandbox.sandbox import Sandbox
from tests.access.certs.authority import (
    ANY,
    CLIENT,
    SERVER,
    Pair,
    authority,
    leaf,
    request,
    signed_by_sha1,
)
from tests.access.certs.host_seeds import HOST_SEEDS, HostSeed
from tests.access.certs.local_host import LocalHost
from tests.access.certs.objects import (
    api_service,
    certificate_request,
    configuration,
    definition,
    external_service,
    ingress,
    node,
    path_of,
    secret,
)
from tests.access.certs.servers import Server, Servers

Json = dict[str, Any]
Expected = frozenset[tuple[str, str]]
DAY = timedelta(days=1)
V1_0, V1_2, V1_3 = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
ROOT = authority("root")
OTHER = authority("other")
OLD = authority("old root", ends=-DAY)
MIDDLE = authority("middle", ROOT)
ENDED = authority("ended middle", ROOT, ends=-DAY)
PLAIN_LEAF = leaf(ROOT)
SHA1_ROOT = signed_by_sha1(None, "sha1 root")


class World(msgspec.Struct, kw_only=True):
    """What was planted: objects, ports to be named, hosts; and what must be found of it."""

    servers: Servers
    folder: Path
    objects: list[Json] = []
    endpoints: list[str] = []
    hosts: list[LocalHost] = []
    by_user: list[tuple[str, Json]] = []
    expected: set[tuple[str, str]] = set()
    defects: dict[str, Expected] = {}
    look_alikes: list[str] = []


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook that is reached at a port of loopback, and the bundle it is trusted by."""

    name: str
    server: Server
    bundle: tuple[Pair, ...] = (ROOT,)
    rules: tuple[str, ...] = ()
    bundle_rules: tuple[str, ...] = ()
    host: str = "127.0.0.1"


HOOKS = (
    Hook(name="expired", server=Server(pair=leaf(ROOT, ends=-DAY)), rules=("Expired",)),
    Hook(name="not-yet", server=Server(pair=leaf(ROOT, starts=DAY)), rules=("NotYetValid",)),
    Hook(name="other-name", server=Server(pair=leaf(ROOT, names=("a.b",))), rules=("WrongName",)),
    Hook(
        name="cn-only",
        server=Server(pair=leaf(ROOT, names=(), cn="127.0.0.1")),
        rules=("WrongName",),
    ),
    Hook(name="rsa1024", server=Server(pair=leaf(ROOT, key="rsa1024")), rules=("WeakKey",)),
    Hook(name="sha1", server=Server(pair=signed_by_sha1(ROOT)), rules=("WeakSignature",)),
    Hook(name="other-ca", server=Server(pair=leaf(OTHER)), rules=("Untrusted",)),
    Hook(name="no-intermediate", server=Server(pair=leaf(MIDDLE)), rules=("Untrusted",)),
    Hook(
        name="ended-intermediate",
        server=Server(pair=leaf(ENDED), more=(ENDED,)),
        rules=("Untrusted",),
    ),
    Hook(
        name="client-only", server=Server(pair=leaf(ROOT, usages=(CLIENT,))), rules=("WrongUsage",)
    ),
    Hook(
        name="old-tls",
        server=Server(pair=PLAIN_LEAF, least=V1_0, ciphers="ALL:!aNULL:@SECLEVEL=0"),
        rules=("OldTls",),
    ),
    Hook(
        name="null-cipher",
        server=Server(pair=PLAIN_LEAF, ciphers="ALL:eNULL:!aNULL:@SECLEVEL=0"),
        rules=("WeakCipher",),
    ),
    Hook(
        name="anonymous-cipher",
        server=Server(pair=PLAIN_LEAF, ciphers="ALL:aNULL:@SECLEVEL=0"),
        rules=("WeakCipher",),
    ),
    Hook(name="skewed", server=Server(pair=PLAIN_LEAF, skew=90), rules=("ClockSkew",)),
    Hook(name="ends-soon", server=Server(pair=leaf(ROOT, ends=10 * DAY)), rules=("ExpiresSoon",)),
    Hook(
        name="ended-bundle",
        server=Server(pair=leaf(OLD)),
        bundle=(OLD,),
        rules=("Untrusted",),
        bundle_rules=("Expired",),
    ),
    Hook(
        name="leaf-as-bundle",
        server=Server(pair=PLAIN_LEAF),
        bundle=(leaf(OTHER),),
        rules=("Untrusted",),
        bundle_rules=("NoAuthority",),
    ),
    Hook(name="ends-later", server=Server(pair=leaf(ROOT, ends=31 * DAY))),
    Hook(
        name="short-lived",
        server=Server(pair=leaf(ROOT, starts=-DAY / 2, ends=DAY / 2)),
    ),
    Hook(name="localhost", server=Server(pair=leaf(ROOT, names=("LocalHost",))), host="localhost"),
    Hook(name="no-eku", server=Server(pair=leaf(ROOT, usages=None))),
    Hook(name="any-eku", server=Server(pair=leaf(ROOT, usages=(ANY,)))),
    Hook(name="both-ekus", server=Server(pair=leaf(ROOT, usages=(CLIENT, SERVER)))),
    Hook(name="sha1-root", server=Server(pair=PLAIN_LEAF), bundle=(ROOT, SHA1_ROOT)),
    Hook(name="ended-beside-new", server=Server(pair=PLAIN_LEAF), bundle=(OLD, ROOT)),
    Hook(name="intermediate", server=Server(pair=leaf(MIDDLE), more=(MIDDLE,))),
    Hook(name="root-in-chain", server=Server(pair=leaf(MIDDLE), more=(ROOT, MIDDLE))),
    Hook(name="intermediate-trusted", server=Server(pair=leaf(MIDDLE)), bundle=(MIDDLE,)),
    Hook(name="pinned", server=Server(pair=(_own := leaf(None))), bundle=(_own,)),
    Hook(name="rsa2048", server=Server(pair=leaf(ROOT, key="rsa2048"))),
    Hook(name="ed25519", server=Server(pair=leaf(ROOT, key="ed25519"))),
    Hook(name="tls13-only", server=Server(pair=PLAIN_LEAF, least=V1_3)),
    Hook(
        name="tls12-cbc",
        server=Server(pair=PLAIN_LEAF, most=V1_2, ciphers="ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"),
    ),
    Hook(name="slightly-skewed", server=Server(pair=PLAIN_LEAF, skew=-8)),
    Hook(name="no-bundle", server=Server(pair=leaf(OTHER)), bundle=()),
    Hook(name="more-names", server=Server(pair=leaf(ROOT, names=("a.b", "127.0.0.1", "::1")))),
)
KIND = "ValidatingWebhookConfiguration certs-seeds"


def plant_hooks(world: World) -> None:
    """All webhooks in one configuration that matches nothing."""
    planted: list[tuple[str, str, bytes]] = []
    for seed in HOOKS:
        port = world.servers.start(seed.server)
        bundle = b"".join(each.certificate for each in seed.bundle)
        planted.append((seed.name, f"https://{seed.host}:{port}/", bundle))
        target = f"{KIND}/{seed.name}.example.com"
        found = {(rule, target) for rule in seed.rules}
        found |= {(rule, f"{target} (caBundle)") for rule in seed.bundle_rules}
        note(world, f"webhook {seed.name}", found)
    world.objects.append(configuration("certs-seeds", planted))


def note(world: World, name: str, found: set[tuple[str, str]]) -> None:
    """Remember what must be found of a seed; nothing, of a look-alike."""
    if found:
        world.defects[name] = frozenset(found)
        world.expected |= found
    else:
        world.look_alikes.append(name)


NODE_WAYS: tuple[tuple[str, str, Server, str], ...] = (
    ("plain-etcd", "etcd", Server(pair=None, otherwise=200), "NoTls"),
    ("open-etcd", "etcd", Server(pair=PLAIN_LEAF, otherwise=200), "AnonymousAccess"),
    (
        "open-kubelet",
        "kubelet",
        Server(pair=leaf(None), statuses={"/pods": 200}),
        "AnonymousAccess",
    ),
    (
        "open-api-server",
        "apiserver",
        Server(pair=PLAIN_LEAF, statuses={"/api/v1/secrets?limit=1": 200}, otherwise=403),
        "AnonymousAccess",
    ),
    ("open-scheduler", "scheduler", Server(pair=PLAIN_LEAF, otherwise=200), "AnonymousAccess"),
    ("no-handshake", "endpoint", Server(pair=PLAIN_LEAF, most=V1_2, ciphers="PSK"), "TlsBroken"),
    ("plain-endpoint", "endpoint", Server(pair=None), "NoTls"),
    ("etcd-1.3", "etcd", Server(pair=PLAIN_LEAF, clients_of=OTHER, otherwise=200), ""),
    ("etcd-1.2", "etcd", Server(pair=PLAIN_LEAF, clients_of=OTHER, most=V1_2, otherwise=200), ""),
    (
        "etcd-peer",
        "etcd-peer",
        Server(pair=leaf(ROOT, usages=(SERVER, CLIENT)), clients_of=ROOT),
        "",
    ),
    ("shut-kubelet", "kubelet", Server(pair=leaf(None), otherwise=401), ""),
    ("ended-kubelet", "kubelet", Server(pair=leaf(None, ends=-DAY), otherwise=401), ""),
    ("shut-scheduler", "scheduler", Server(pair=leaf(None), otherwise=403), ""),
    ("wildcard", "endpoint", Server(pair=PLAIN_LEAF, otherwise=200), ""),
)


def plant_endpoints(world: World) -> None:
    """Ports that a user names."""
    for name, word, server, rule in NODE_WAYS:
        port = world.servers.start(server)
        # API servers named by hand are trusted by the kubeconfig's authority, which did not issue.
        world.endpoints.append(f"{word}=127.0.0.1:{port}")
        role = {"apiserver": "kube-apiserver", "scheduler": "kube-scheduler"}.get(word, word)
        target = f"{role.replace('-peer', ' peer')} 127.0.0.1:{port}"
        found = {(rule, target)} if rule else set[tuple[str, str]]()
        if word == "apiserver":
            found.add(("Untrusted", target))
        note(world, f"port {name}", found)


def plant_backends(world: World) -> None:
    """What is reached by Services: a converter and aggregated APIs."""
    good = world.servers.start(Server(pair=leaf(ROOT, names=("*.certs-seeds.svc",)), otherwise=403))
    bad = world.servers.start(Server(pair=leaf(OTHER, names=("bad.certs-seeds.svc",))))
    wrong = world.servers.start(Server(pair=leaf(ROOT, names=("wrong.else.svc",)), otherwise=403))
    for name in ("good", "bad", "wrong", "blind"):
        world.objects.append(external_service(name))
    bundle = ROOT.certificate
    world.objects += [
        definition("goods", "good", good, bundle),
        definition("bads", "bad", bad, bundle),
        api_service("good", good, bundle),
        api_service("wrong", wrong, bundle),
        api_service("blind", bad, b""),
    ]
    crd = "CustomResourceDefinition"
    note(world, "converter good", set())
    note(world, "converter bad", {("Untrusted", f"{crd} bads.seeds.example.com")})
    note(world, "aggregated good", set())
    note(world, "aggregated wrong", {("WrongName", "APIService v1.wrong.example.com")})
    note(world, "aggregated blind", {("TlsNotVerified", "APIService v1.blind.example.com")})


def plant_secrets(world: World) -> None:
    """TLS Secrets and the Ingresses that serve them."""
    web = leaf(ROOT, names=("web.example.com", "*.apps.example.com"))
    swapped = Pair(certificate=web.certificate, key=leaf(ROOT).key)
    chained = leaf(MIDDLE, names=("chained.example.com",), key="rsa2048")
    for name, pair, hosts, rule in (
        ("expired", leaf(ROOT, names=("x.example.com",), ends=-DAY), ("x.example.com",), "Expired"),
        ("other-host", web, ("web.example.com", "shop.example.com"), "WrongName"),
        ("deep-host", web, ("a.b.apps.example.com",), "WrongName"),
        ("swapped", swapped, ("web.example.com",), "KeyMismatch"),
        ("garbage", Pair(certificate=b"no pem", key=b"no key"), ("g.example.com",), "Unreadable"),
        ("covered", web, ("web.example.com", "a.apps.example.com", "*.apps.example.com"), ""),
        ("shared", web, ("WEB.example.com".lower(),), ""),
        (
            "chained",
            Pair(certificate=chained.certificate + MIDDLE.certificate, key=chained.key),
            ("chained.example.com",),
            "",
        ),
        ("unserved", leaf(ROOT, names=("u.example.com",)), (), ""),
    ):
        world.objects.append(secret(name, pair))
        if hosts:
            world.objects.append(ingress(name, name, hosts))
        target = f"Secret certs-seeds/{name}"
        note(world, f"secret {name}", {(rule, target)} if rule else set())
    world.objects += [
        secret("opaque", Pair(certificate=b"no pem", key=b"no key"), kind="Opaque"),
        ingress("default", "", ("d.example.com",)),
        ingress("again", "shared", ("web.example.com",)),
        ingress("dangling", "nowhere", ("n.example.com",)),
    ]
    for name in ("opaque secret", "default certificate", "secret served twice"):
        note(world, name, set())
    note(
        world,
        "missing secret",
        {("SecretMissing", "Ingress certs-seeds/dangling (nowhere)")},
    )


def plant_requests(world: World) -> None:
    """Requests of kubelets, by the node itself."""
    world.objects.append(node("n1", "10.0.0.1"))
    me, group = "system:node:n1", ("system:nodes",)
    for name, cn, names, is_forged in (
        ("honest", me, ("n1", "10.0.0.1"), False),
        ("foreign-name", me, ("n1", "kubernetes.default.svc"), True),
        ("foreign-address", me, ("10.0.0.2",), True),
        ("other-node", "system:node:n2", ("n1",), True),
    ):
        found = certificate_request(name, request(cn, group, names))
        if cn == me:
            world.by_user.append((me, found))
        else:
            # Newer servers do not let a node ask for another's: somebody else does.
            world.objects.append(found)
        target = f"CertificateSigningRequest certs-{name}"
        note(world, f"csr {name}", {("RequestForged", target)} if is_forged else set())
    client = "kubernetes.io/kube-apiserver-client"
    other = certificate_request("user", request("ann", (), ()), signer=client, usage="client auth")
    world.objects.append(other)
    note(world, "csr of a user", set())


def plant_hosts(world: World) -> None:
    """Hosts with files of their own."""
    for seed in HOST_SEEDS:
        world.hosts.append(_host(world, seed))


def _host(world: World, seed: HostSeed) -> LocalHost:
    host = LocalHost(seed.name, world.folder / seed.name)
    found = seed.plant(host, world.servers)
    note(world, f"host {seed.name}", found)
    return host


PLANTERS: Sequence[Callable[[World], None]] = (
    plant_hooks,
    plant_endpoints,
    plant_backends,
    plant_secrets,
    plant_requests,
    plant_hosts,
)


async def create(sandbox: Sandbox, world: World) -> None:
    """Put the objects into the API server; webhooks come first of those that need no Service."""
    async with _connected(str(sandbox.kubeconfig)) as connection:
        await connection.send("POST", "/api/v1/namespaces", body=_NAMESPACE)
        for each in sorted(world.objects, key=lambda each: each["kind"] == "APIService"):
            await connection.send("POST", path_of(each), body=each)
            if each["kind"] == "Node":
                await connection.send(
                    "PATCH",
                    f"{path_of(each)}/{each['metadata']['name']}/status",
                    body={"status": each["status"]},
                    content_type="application/merge-patch+json",
                )
    for user, each in world.by_user:
        kubeconfig = sandbox.issue_kubeconfig(user, ("system:nodes",))
        async with _connected(str(kubeconfig)) as connection:
            await connection.send("POST", path_of(each), body=each)


_NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "certs-seeds"}}


async def clear_away(sandbox: Sandbox, world: World) -> None:
    """Delete what was created."""
    async with _connected(str(sandbox.kubeconfig)) as connection:
        for path in _paths(world):
            with suppress(NotFoundError):
                await connection.send("DELETE", path)


def _paths(world: World) -> Iterator[str]:
    everything = [*world.objects, *(each for _, each in world.by_user)]
    for each in sorted(everything, key=lambda each: each["kind"] != "APIService"):
        yield f"{path_of(each)}/{each['metadata']['name']}"
    yield "/api/v1/namespaces/certs-seeds"


def _connected(kubeconfig: str) -> Any:
    return connect(ConnectionOptions(kubeconfig=kubeconfig))
