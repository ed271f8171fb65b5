"""Gathering the evidence of a check from a live cluster; never writes.

What cannot be read, for want of rights or because nobody answers, is noted as not checked.
"""

import asyncio
import base64
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from shipkeeper.backup.discovery import Discovery, discover
from shipkeeper.backup.kinds import Kind, kinds_to_take
from shipkeeper.backup.pages import one_ahead, pages
from shipkeeper.engine.finding import Unchecked
from shipkeeper.engine.looking import Looking
from shipkeeper.engine.verdict import Verdict
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES, Resource
from shipkeeper.model.meta import KubeObject
from shipkeeper.nodes.explain import explain_drain
from shipkeeper.nodes.observe import ClusterState, observe
from shipkeeper.nodes.options import DrainOptions
from shipkeeper.upgrade.catalog import Catalog
from shipkeeper.upgrade.check import programs
from shipkeeper.upgrade.check.apis import ends_without_successor
from shipkeeper.upgrade.check.evidence import (
    Certificate,
    Definition,
    Evidence,
    PodTrait,
    ProgramArguments,
    Seen,
    Service,
    Use,
)
from shipkeeper.upgrade.check.hooks import (
    Backend,
    WebhookConfiguration,
    judge_hooks,
    services_of,
)
from shipkeeper.upgrade.check.manifests import read_folder, read_release
from shipkeeper.upgrade.check.metric import read_asked
from shipkeeper.upgrade.check.serving import serving_certificate
from shipkeeper.upgrade.check.traits import traits_of
from shipkeeper.upgrade.check.uses import target_of, uses_of
from shipkeeper.upgrade.observe import (
    CONFIG_MAPS,
    SYSTEM_PODS,
    ConfigMapData,
    observe_system_maps,
    observe_versions,
)
from shipkeeper.upgrade.versions import ClusterVersions

_SYSTEM = "kube-system"
_AT_ONCE = 6
# Written by the control plane by the thousand, and gone with it.
_PASSED_OVER = frozenset({"Event", "Lease"})
_HELM = "helm.sh/release.v1"
_DEPLOYED = "owner=helm,status=deployed"
_ADMISSION = "admissionregistration.k8s.io"
_HOOKS = {
    "ValidatingWebhookConfiguration": "validatingwebhookconfigurations",
    "MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
}
_FOR_DRAINS = DrainOptions(ignore_daemonsets=True, force=True, delete_emptydir_data=True)
# What no API tells; `upgrade run` looks at etcd's members, and kubeadm at its hosts' cgroups.
_ON_HOSTS = (
    Unchecked(what="cgroup version of the hosts", why="no API tells it; 1.35 refuses version 1"),
    Unchecked(what="members of etcd", why="only etcd itself tells of learners and alarms"),
    Unchecked(
        what="flags of the kubelets",
        why="kubeadm-flags.env and systemd's drop-ins are on the hosts",
    ),
)


class _Secret(KubeObject, frozen=True, kw_only=True):
    data: dict[str, str] | None = None


class _Endpoints(KubeObject, frozen=True, kw_only=True):
    subsets: tuple[dict[str, Any], ...] | None = None


_Holder = TypeVar("_Holder", _Secret, ConfigMapData)
_SECRETS = Resource("", "v1", "secrets", "Secret", _Secret)
_ENDPOINTS = Resource("", "v1", "endpoints", "Endpoints", _Endpoints)
_SERVICES = Resource("", "v1", "services", "Service", KubeObject)
_NAMESPACES = Resource("", "v1", "namespaces", "Namespace", KubeObject, namespaced=False)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What else to look at: files with manifests, and when the last backup was made."""

    files: tuple[Path, ...] = ()
    backup_at: datetime | None = None


async def gather_evidence(
    connection: Connection, target: int, catalog: Catalog, wanted: Wanted
) -> Evidence:
    """Everything that an upgrade to a minor can be judged by."""
    return await _Gathering(connection, target, catalog).gather(wanted)


class _Gathering(Looking):
    def __init__(self, connection: Connection, target: int, catalog: Catalog) -> None:
        super().__init__()
        self._connection = connection
        self._reader = Reader(connection)
        self._target = target
        self._catalog = catalog
        self._uses: list[Use] = []
        self._traits: list[PodTrait] = []

    async def gather(self, wanted: Wanted) -> Evidence:
        versions = await observe_versions(self._reader)
        # Before anything else asks for deprecated APIs.
        metrics = await self._try("requests for deprecated APIs", self._metrics, None)
        discovery = await discover(self._connection)
        for each in discovery.unreadable:
            self._skip(f"objects of {each.what}", each.message, is_gap=True)
        hooks, definitions, services = await asyncio.gather(
            self._try("webhooks", self._hooks, ()),
            self._try("CustomResourceDefinitions", self._definitions, ()),
            self._try("APIServices", self._services, ()),
        )
        kubeadm, arguments = await self._arguments(versions)
        await self._objects(discovery)
        await self._releases(discovery)
        await self._files(wanted.files)
        certificates = await self._try("serving certificate", self._certificates, ())
        obstacles = await self._try("drains of the nodes", self._obstacles, ())
        if wanted.backup_at is None:
            self._skip("age of the last backup", "no repository was named (--repo)")
        served = discovery.served
        return Evidence(
            versions=versions,
            nodes=tuple((await self._reader.list(NODES)).items),
            uses=tuple(self._uses),
            asked=metrics,
            preferred=frozenset((each.api_version, each.kind) for each in served.preferred),
            served={(each.api_version, each.kind): each.plural for each in served.kinds},
            programs=arguments,
            kubeadm_config=kubeadm,
            hooks=hooks,
            definitions=definitions,
            services=services,
            traits=tuple(self._traits),
            obstacles=obstacles,
            certificates=certificates,
            backup_at=wanted.backup_at,
            unchecked=(
                *(self._unseen(each) for each in versions.not_seen),
                *self._unchecked,
                *_ON_HOSTS,
            ),
        )

    @staticmethod
    def _unseen(what: str) -> "Unchecked":
        subject, _, why = what.partition(" (")
        return Unchecked(what=subject, why=why.rstrip(")"))

    async def _metrics(self) -> Any:
        return tuple(read_asked(await self._connection.send("GET", "/metrics")))

    async def _objects(self, discovery: Discovery) -> None:
        """Look at every object once, in the version that the server prefers."""
        slots = asyncio.Semaphore(_AT_ONCE)
        kinds = [
            each
            for each in kinds_to_take(discovery.served)
            if each.kind not in _PASSED_OVER and each.api_version not in discovery.aggregated
        ]

        async def look(kind: Kind) -> None:
            async with slots:
                await self._try(f"objects of {kind.name}", lambda: self._kind(kind), None)

        await asyncio.gather(*(look(kind) for kind in kinds))

    async def _kind(self, kind: Kind) -> None:
        known = self._catalog.removal_of
        removal = known.get((kind.api_version, kind.kind))
        is_lost = removal is not None and ends_without_successor(
            removal, self._target, self._catalog
        )
        async for page in one_ahead(pages(self._connection, kind)):
            for each in page.objects:
                self._uses += uses_of(each.body, kind.kind, known)
                self._traits += traits_of(each.body, kind.api_version, kind.kind)
                if is_lost:
                    self._uses.append(
                        Use(
                            seen=Seen.STORED,
                            api_version=kind.api_version,
                            kind=kind.kind,
                            target=target_of(kind.kind, each.namespace, each.name),
                        )
                    )

    async def _releases(self, discovery: Discovery) -> None:
        """The deployed revision of every Helm release; older ones are never applied again."""
        cluster_scoped = {each.kind for each in discovery.served.kinds if not each.namespaced}
        # Helm keeps them in Secrets, or, by HELM_DRIVER, in ConfigMaps.
        secrets = await self._try(
            "Helm releases in Secrets", lambda: self._deployed(_SECRETS, f"type={_HELM}"), ()
        )
        maps = await self._try(
            "Helm releases in ConfigMaps", lambda: self._deployed(CONFIG_MAPS), ()
        )
        for each in (*secrets, *maps):
            packed = (each.data or {}).get("release", "")
            try:
                text = _decoded(packed) if isinstance(each, _Secret) else packed
                uses, complaints = await asyncio.to_thread(read_release, text, cluster_scoped)
            except ValueError as error:
                uses, complaints = (), (str(error),)
            self._uses += uses
            what = "Secret" if isinstance(each, _Secret) else "ConfigMap"
            for why in complaints:
                self._skip(f"Helm release of {what} {each.key}", why)

    async def _deployed(self, resource: Resource[_Holder], fields: str = "") -> tuple[_Holder, ...]:
        listed = await self._reader.list(resource, label_selector=_DEPLOYED, field_selector=fields)
        return tuple(listed.items)

    async def _files(self, files: Iterable[Path]) -> None:
        for each in files:
            uses, unchecked = await asyncio.to_thread(read_folder, each)
            self._uses += uses
            self._unchecked += unchecked

    async def _arguments(
        self, versions: ClusterVersions
    ) -> tuple[str, tuple[ProgramArguments, ...]]:
        pods = await self._reader.list(SYSTEM_PODS, namespace=_SYSTEM)
        maps = await self._try(
            "ConfigMaps of kube-system", lambda: observe_system_maps(self._reader), {}
        )
        given = programs.of_maps(maps, versions)
        for each in given.unread:
            self._skip(f"settings in {each}", "it is no YAML mapping")
        found = (*programs.of_pods(pods.items), *given.programs)
        if not found:
            why = "neither static pods nor kubeadm's ConfigMaps are there"
            self._skip("flags and feature gates of the control plane", why)
        return given.kubeadm, found

    async def _hooks(self) -> Any:
        system = await self._reader.get(_NAMESPACES, _SYSTEM)
        found = [
            (kind, await self._reader.list(_hook_resource(kind, plural)))
            for kind, plural in _HOOKS.items()
        ]
        everything = [item for _, listing in found for item in listing.items]
        backends = {each: await self._backend(*each) for each in services_of(everything)}
        return tuple(
            hook
            for kind, listing in found
            for hook in judge_hooks(listing.items, kind, backends, system.metadata.labels)
        )

    async def _backend(self, namespace: str, name: str) -> Backend:
        try:
            await self._reader.get(_SERVICES, name, namespace)
        except NotFoundError:
            return Backend(exists=False, addresses=0)
        try:
            endpoints = await self._reader.get(_ENDPOINTS, name, namespace)
        except NotFoundError:
            return Backend(exists=True, addresses=0)
        subsets = endpoints.subsets or ()
        return Backend(
            exists=True, addresses=sum(len(each.get("addresses") or ()) for each in subsets)
        )

    async def _definitions(self) -> tuple[Definition, ...]:
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        found: Mapping[str, Any] = msgspec.json.decode(await self._connection.send("GET", path))
        return tuple([await self._definition(each) for each in found["items"]])

    async def _definition(self, found: Mapping[str, Any]) -> Definition:
        spec = found["spec"]
        conversion = spec.get("conversion", {})
        service = conversion.get("webhook", {}).get("clientConfig", {}).get("service")
        down = ""
        if conversion.get("strategy") == "Webhook" and service:
            backend = await self._backend(service["namespace"], service["name"])
            if not backend.addresses:
                name = f"{service['namespace']}/{service['name']}"
                down = f"nothing answers for its conversion webhook's Service {name}"
        return Definition(
            name=found["metadata"]["name"],
            served={each["name"]: bool(each["served"]) for each in spec["versions"]},
            storage=next((each["name"] for each in spec["versions"] if each["storage"]), ""),
            stored=tuple(found.get("status", {}).get("storedVersions") or ()),
            hook_down=down,
        )

    async def _services(self) -> tuple[Service, ...]:
        path = "/apis/apiregistration.k8s.io/v1/apiservices"
        found: Mapping[str, Any] = msgspec.json.decode(await self._connection.send("GET", path))
        return tuple(
            Service(name=each["metadata"]["name"], message=condition.get("message", ""))
            for each in found["items"]
            for condition in each.get("status", {}).get("conditions") or ()
            if (condition["type"], condition["status"]) == ("Available", "False")
        )

    async def _certificates(self) -> tuple[Certificate, ...]:
        credentials = self._connection.credentials
        found = [Certificate(name="API server", ends=await serving_certificate(credentials.server))]
        if credentials.certificate_expiry is not None:
            ends = credentials.certificate_expiry
            found.append(Certificate(name="client certificate of this kubeconfig", ends=ends))
        return tuple(found)

    async def _obstacles(self) -> Any:
        """What would hinder a drain and is about budgets: all else is for the drain's own flags."""
        nodes = tuple((await self._reader.list(NODES)).items)
        state = await observe(self._reader, nodes)
        # In a thread: with thousands of nodes it takes a second, and others wait for their turn.
        return await asyncio.to_thread(_hindered, state)


def _hindered(state: ClusterState) -> tuple[tuple[str, Verdict], ...]:
    return tuple(
        (each.node, verdict)
        for each in explain_drain(state, _FOR_DRAINS, datetime.now(UTC))
        for verdict in each.obstacles
        if verdict.target.startswith("pod/")
    )


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data).decode()
    except UnicodeDecodeError as error:
        raise ValueError("it is no release of Helm") from error


def _hook_resource(kind: str, plural: str) -> Resource[WebhookConfiguration]:
    return Resource(_ADMISSION, "v1", plural, kind, WebhookConfiguration, namespaced=False)
