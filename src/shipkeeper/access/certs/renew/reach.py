"""Reaching hosts: programs that are run there, ports that are looked at from there."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from shipkeeper.access.certs.host import HostLook
from shipkeeper.access.certs.host_look import look_at_host
from shipkeeper.access.certs.probe import look_at
from shipkeeper.access.certs.renew import programs
from shipkeeper.access.certs.renew.leaves import API_SERVER, ETCD
from shipkeeper.access.certs.renew.site import Site, Watched
from shipkeeper.access.certs.survey import Presented
from shipkeeper.access.certs.tls import lenient_context
from shipkeeper.errors import ShipkeeperError
from shipkeeper.hosts.host import Host, Tunnel

ADMIN = "/etc/kubernetes/admin.conf"
_LOOK_EVERY = 0.5  # seconds


class RenewError(ShipkeeperError):
    """Certificates could not be made, put in place, or seen at work."""


async def run_on(host: Host, program: str) -> str:
    """What a program prints on a host; RenewError with its last words if it fails."""
    out: list[bytes] = []
    async with host.session() as session:
        answer = await session.execute(program, out.append)
    if answer.exit_code:
        lines = [line for line in answer.errors.splitlines() if line.strip()]
        words = lines[-1].removeprefix("shipkeeper: ") if lines else f"exit code {answer.exit_code}"
        raise RenewError(
            f"{host.name}: {words}",
            reason="HostStepFailed",
            hint="log in as root or with --sudo; see the kubelet's journal there: "
            "journalctl -u kubelet",
        )
    return b"".join(out).decode("utf-8", "replace")


async def look(host: Host, root: str = "") -> HostLook:
    """A host's certificates, or those under a folder of it."""
    async with host.session() as session:
        return await look_at_host(session, host.name, root)


async def present(host: Host, watched: Iterable[Watched]) -> tuple[Presented, ...]:
    """What ports of a host present, looked at from there; RenewError if none can be reached so."""
    async with host.session() as session:
        if not isinstance(session, Tunnel):
            raise RenewError(
                f"{host.name}: its ports cannot be looked at from there",
                reason="NoTunnel",
                hint="reach it over SSH",
            )
        context, dial = lenient_context(), session.dial
        ports = [each.as_port(host.name) for each in watched]
        return tuple(await asyncio.gather(*(look_at(each, dial, context) for each in ports)))


async def is_ready(host: Host, watched: Watched, server: str, seen: Presented) -> bool:
    """Whether an API server is ready; asked as an administrator if it tells nobody unknown."""
    if not watched.hides(seen):
        return watched.is_well(seen)
    try:
        await run_on(host, programs.ready_by_kubectl(ADMIN, server))
    except RenewError:
        # Whatever the reason: it was not seen to be ready.
        return False
    return True


async def are_well(host: Host, site: Site, *components: str) -> bool:
    """Whether components of a host answer, and well, at this moment."""
    watched = site.of(*components)
    seen = await present(host, watched)
    for each, found in zip(watched, seen, strict=True):
        is_api_server = each.component == API_SERVER
        is_well = (
            await is_ready(host, each, site.server, found) if is_api_server else each.is_well(found)
        )
        if not is_well:
            return False
    return True


async def until(
    holds: Callable[[], Awaitable[str]], seconds: float, host: str, hint: str = ""
) -> None:
    """Return once nothing is missing any more; RenewError with what is, at the end of the time."""
    clock = asyncio.get_running_loop().time
    deadline = clock() + seconds
    while missing := await holds():
        if clock() > deadline:
            raise RenewError(
                f"{host}: {missing}",
                reason="NotProven",
                hint=hint or "see why on the host: crictl logs, journalctl -u kubelet",
            )
        await asyncio.sleep(_LOOK_EVERY)


async def await_well(host: Host, site: Site, seconds: float) -> None:
    """Wait until etcd and the API server of a host are well."""

    async def missing() -> str:
        is_well = await are_well(host, site, ETCD, API_SERVER)
        return "" if is_well else "etcd or the API server is not healthy"

    await until(missing, seconds, host.name)
