"""The steps that change a host: what was made is put in place, and proven on the ports."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

import msgspec

from shipkeeper.access.certs.renew import programs
from shipkeeper.access.certs.renew.leaves import API_SERVER, ETCD
from shipkeeper.access.certs.renew.reach import (
    RenewError,
    are_well,
    await_well,
    look,
    present,
    run_on,
    until,
)
from shipkeeper.access.certs.renew.site import STATIC_PODS, Site, Watched
from shipkeeper.access.certs.survey import Port, Role
from shipkeeper.access.certs.uses import HostCertificates
from shipkeeper.engine.action import Action, StepRecord
from shipkeeper.engine.plan import Step
from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.hosts.host import Host

_PATIENCE = 60.0  # seconds for other hosts to be healthy
_HEALTHZ = 10248  # the kubelet's port for it, unless its configuration names another


class Bench(msgspec.Struct, frozen=True, kw_only=True):
    """What the steps work with: ways to hosts, what becomes of each, the folder of this run.

    timeout: how many seconds each wait on a host may take.
    """

    hosts: Mapping[str, Host]
    sites: Mapping[str, Site]
    folder: str
    timeout: float

    def of(self, step: Step) -> tuple[Host, Site]:
        """The host that a step changes."""
        site = self.sites[step.target.removeprefix("host/")]
        return self.hosts[site.host], site

    async def run(self, host: Host, *programs_: str) -> None:
        """Run programs, one after the other."""
        for each in programs_:
            await run_on(host, each)


class OnSite:
    """A step of a host; the way back of all of them is its first step's, `Stage`."""

    def __init__(self, bench: Bench, do: Callable[[Host, Site], Awaitable[None]]) -> None:
        self._bench = bench
        self._do = do

    async def check(self, step: Step) -> Verdict | None:
        """What a step needs was seen by the one before."""
        return None

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Do it, again if it was begun: all of it may be repeated."""
        await self._do(*self._bench.of(step))

    async def verify(self, step: Step, record: StepRecord) -> Verdict | None:
        """What was done was observed while it was done."""
        return None

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """The way back is one, and the first step's."""
        return False


class Stage(OnSite):
    """Make everything beside what is in use; its way back is that of the whole host."""

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """Put back what was there and let it run again, as far as anything was changed."""
        host, site = self._bench.of(step)
        await put_back(self._bench, host, site)
        return True


class Stop(OnSite):
    """The first change to a host, which waits for the others."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench, self._stop)

    async def check(self, step: Step) -> Verdict | None:
        """All other hosts that were healthy, or are renewed, are healthy now."""
        _, site = self._bench.of(step)
        order = list(self._bench.sites)
        done = set(order[: order.index(site.host)])
        for each in self._bench.sites.values():
            if each.host == site.host or not (each.was_healthy or each.host in done):
                continue
            try:
                await await_well(self._bench.hosts[each.host], each, _PATIENCE)
            except RenewError as error:
                return Verdict(
                    target=step.target,
                    effect=Effect.BLOCK,
                    reason="OthersNotHealthy",
                    message=error.message,
                    remedy="two hosts must not be away at once: mend that one, then go on with "
                    "the same command",
                )
        return None

    async def _stop(self, host: Host, site: Site) -> None:
        for name in (API_SERVER, ETCD):
            if name in site.restarts:
                await run_on(host, programs.stop(self._bench.folder, name, self._bench.timeout))


async def put_back(bench: Bench, host: Host, site: Site) -> None:
    """Let a host be as it was before the run; nothing is left of what was made."""
    folder = bench.folder
    if await run_on(host, programs.is_touched(folder)):
        stops = [programs.stop(folder, each, bench.timeout) for each in site.pods]
        # The API server first: without its etcd it would answer with errors.
        stops = [*stops[1:2], *stops[:1], *stops[2:]] if ETCD in site.pods else stops
        await bench.run(host, *stops, programs.restore(folder))
        for name in site.pods:
            await run_on(host, programs.start(folder, name, bench.timeout, old=True))
        if site.restarts_kubelet:
            await run_on(host, programs.restart_kubelet(folder))
        if site.was_healthy:
            await await_well(host, site, bench.timeout)
    await run_on(host, programs.forget(folder))


async def prove(bench: Bench, host: Host, site: Site, *components: str) -> None:
    """Wait until ports present what lies on the host, or another than before where none does."""
    expected = await _expected(host, site)

    async def missing() -> str:
        watched = site.of(*components)
        for each, seen in zip(watched, await present(host, watched), strict=True):
            if each.marker:
                continue
            shown = seen.chain[0].fingerprint if seen.chain else ""
            wanted = expected.get((each.role, each.port), "")
            if not shown:
                return f"nobody presents a certificate at {each.role}'s port {each.port}"
            if wanted and shown != wanted:
                return f"{each.role}'s port {each.port} does not present the new certificate"
            if not wanted and shown == each.before:
                return f"{each.role}'s port {each.port} presents the old process's certificate"
        return "" if await are_well(host, site, *components) else f"{components[0]} is not healthy"

    await until(missing, bench.timeout, host.name)


async def _expected(host: Host, site: Site) -> dict[tuple[Role, int], str]:
    """What the ports must present: the certificate of the file that their flags name."""
    found = await look(host)
    ports: dict[str, Port] = {
        each.as_port(host.name).target: each.as_port(host.name)
        for each in site.watched
        if not each.marker
    }
    servings = HostCertificates(found).servings(
        (port.role.value, target) for target, port in ports.items()
    )
    return {
        (ports[each.port].role, ports[each.port].port): each.leaf.fingerprint for each in servings
    }


def switching_actions(
    bench: Bench, stage: Callable[[Host, Site], Awaitable[None]]
) -> dict[str, Action]:
    """What the steps of a plan of sites are done by; `stage` makes what is put in place."""
    folder, timeout = bench.folder, bench.timeout

    async def install(host: Host, site: Site) -> None:
        await run_on(host, programs.install(folder))

    async def start(name: str, host: Host, site: Site) -> None:
        await run_on(host, programs.start(folder, name, timeout))
        await prove(bench, host, site, name)

    async def controllers(host: Host, site: Site) -> None:
        others = [each for each in STATIC_PODS if each in site.pods and each not in _FIRST]
        await asyncio.gather(
            *(run_on(host, programs.stop(folder, name, timeout)) for name in others)
        )
        await asyncio.gather(*(start(name, host, site) for name in others))

    return {
        "stage": Stage(bench, stage),
        "stop": Stop(bench),
        "install": OnSite(bench, install),
        ETCD: OnSite(bench, lambda host, site: start(ETCD, host, site)),
        API_SERVER: OnSite(bench, lambda host, site: start(API_SERVER, host, site)),
        "controllers": OnSite(bench, controllers),
        "kubelet": OnSite(bench, lambda host, site: restart_kubelet(bench, host)),
    }


_FIRST = (ETCD, API_SERVER)


async def restart_kubelet(bench: Bench, host: Host) -> None:
    """Restart the kubelet, and wait until it says that it is well, if it has a port for that."""
    await run_on(host, programs.restart_kubelet(bench.folder))
    port = (await look(host)).kubelet().get("healthzPort", _HEALTHZ)
    if not port:
        return
    watched = Watched(
        component="kubelet",
        role=Role.KUBELET,
        address="127.0.0.1",
        port=int(port),
        path="/healthz",
        marker="ok",
    )

    async def missing() -> str:
        (seen,) = await present(host, (watched,))
        return "" if watched.is_well(seen) else "the kubelet is not healthy"

    await until(missing, bench.timeout, host.name)


def now() -> datetime:
    """The time by which certificates are made."""
    return datetime.now(UTC)
