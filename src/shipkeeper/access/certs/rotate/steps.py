"""The steps of a rotation that concern more than one host, and all actions of a stage."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from shipkeeper.access.certs.certificate import Certificate
from shipkeeper.access.certs.renew import programs as host_programs
from shipkeeper.access.certs.renew.leaves import API_SERVER, ETCD, Authority
from shipkeeper.access.certs.renew.reach import await_well, run_on, until
from shipkeeper.access.certs.renew.switching import Bench, switching_actions
from shipkeeper.access.certs.rotate import programs
from shipkeeper.access.certs.rotate.cluster import (
    pem_of,
    settle_authentication,
    signs_of_life,
    silent,
    tell_cluster_info,
    untold,
)
from shipkeeper.access.certs.rotate.outlook import RotationOutlook
from shipkeeper.access.certs.rotate.staging import Rotation, make_authority, stage
from shipkeeper.access.certs.rotate.standing import Kept, Stage
from shipkeeper.engine.action import Action, SelfEvident, StepRecord
from shipkeeper.engine.plan import Step
from shipkeeper.errors import BlockedError, ShipkeeperError
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer

T = TypeVar("T")
_KEYS = {
    Authority.KUBERNETES: "client-ca-file",
    Authority.FRONT_PROXY: "requestheader-client-ca-file",
}


class NewAuthority(SelfEvident):
    """Make it, and share it among the hosts of the control plane."""

    def __init__(self, rotation: Rotation) -> None:
        self._rotation = rotation

    async def perform(self, step: Step, record: StepRecord) -> None:
        """What is there is not made again."""
        await make_authority(self._rotation)

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """Remove it: nobody trusts it any more."""
        await forget(self._rotation)
        return True


class Publish(SelfEvident):
    """See clients told of the authorities of a stage."""

    def __init__(self, rotation: Rotation, connection: Connection, bench: Bench) -> None:
        self._rotation = rotation
        self._reader = Reader(connection)
        self._writer = Writer(connection)
        self._bench = bench

    async def perform(self, step: Step, record: StepRecord) -> None:
        """Tell them where hosts do not, and wait until all know."""
        kept = await self._rotation.kept(self._rotation.maker)
        outlook = self._rotation.outlook
        await self._await_hosts()
        wanted = wanted_of(outlook, kept)
        if outlook.authority is Authority.KUBERNETES:
            await self._pods(wanted)
            bundle = "".join(map(pem_of, wanted))
            await self._often(lambda: tell_cluster_info(self._reader, self._writer, bundle))
        await self._authentication(wanted, kept)
        if outlook.stage is Stage.TRUST:
            await run_on(self._rotation.maker, programs.publish(outlook.keep))

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """Tell those who join what was told before."""
        kept = await self._rotation.kept(self._rotation.maker)
        outlook = self._rotation.outlook
        if outlook.authority is not Authority.KUBERNETES or not (kept.old and kept.new):
            return False
        before = {
            Stage.TRUST: (kept.old,),
            Stage.MOVE: (kept.old, kept.new),
            Stage.DROP: (kept.new, kept.old),
        }[outlook.stage]
        await tell_cluster_info(self._reader, self._writer, "".join(map(pem_of, before)))
        return True

    async def _await_hosts(self) -> None:
        for site in self._bench.sites.values():
            if site.of(API_SERVER, ETCD):
                await await_well(self._bench.hosts[site.host], site, self._bench.timeout)

    async def _pods(self, wanted: tuple[Certificate, ...]) -> None:
        prints = tuple(each.fingerprint for each in wanted)
        nodes = self._rotation.outlook.nodes.values()
        await self._until(lambda: untold(self._reader, prints))
        before = await self._often(lambda: signs_of_life(self._reader))

        async def quiet() -> str:
            return silent(before, await signs_of_life(self._reader), nodes)

        await self._until(quiet)

    async def _authentication(self, wanted: tuple[Certificate, ...], kept: Kept) -> None:
        outlook = self._rotation.outlook
        key = _KEYS.get(outlook.authority)
        if key is None:
            return
        gone = kept.old.fingerprint if kept.old and outlook.stage is Stage.DROP else ""
        await self._until(
            lambda: settle_authentication(self._reader, self._writer, key, wanted, gone)
        )

    async def _until(self, holds: Callable[[], Awaitable[str]]) -> None:
        async def missing() -> str:
            try:
                return await holds()
            except ShipkeeperError as error:
                # One of the API servers may still be on its way back.
                return error.message

        await until(missing, self._bench.timeout, "cluster", hint="see kube-controller-manager")

    async def _often(self, do: Callable[[], Awaitable[T]]) -> T:
        found: list[T] = []

        async def done() -> str:
            found.append(await do())
            return ""

        await self._until(done)
        return found[0]


class End(SelfEvident):
    """Remove what was kept from stage to stage: there is no way back from here."""

    def __init__(self, rotation: Rotation) -> None:
        self._rotation = rotation

    async def perform(self, step: Step, record: StepRecord) -> None:
        """From all hosts; a second time finds nothing."""
        await forget(self._rotation)

    async def undo(self, step: Step, record: StepRecord) -> bool:
        """BlockedError: what would be needed is gone."""
        raise BlockedError(
            "the old authority is dropped, and what was kept for a way back is removed",
            reason="NoReturn",
            hint="rotate again, if the new one must go as well",
        )


async def forget(rotation: Rotation) -> None:
    """Remove what a rotation keeps on the hosts of the control plane."""
    for site in rotation.outlook.sites:
        if site.of(API_SERVER, ETCD):
            await run_on(rotation.hosts[site.host], host_programs.forget(rotation.outlook.keep))


def wanted_of(outlook: RotationOutlook, kept: Kept) -> tuple[Certificate, ...]:
    """Whom clients trust after a stage."""
    pair = (kept.new,) if outlook.stage is Stage.DROP else (kept.old, kept.new)
    return tuple(each for each in pair if each is not None)


def rotation_actions(
    rotation: Rotation, connection: Connection, bench: Bench
) -> Mapping[str, Action]:
    """What the steps of `plan_stage` are done by."""
    return {
        **switching_actions(bench, lambda host, site: stage(rotation, host, site)),
        "authority": NewAuthority(rotation),
        "publish": Publish(rotation, connection, bench),
        "end": End(rotation),
    }
