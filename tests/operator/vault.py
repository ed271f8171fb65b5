"""A backup repository, its keys in Secrets beside the operator, and what is told of it."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import msgspec

from shipkeeper.backup.opening import Place, create_repository, open_repository
from shipkeeper.kube.reflector import Reflector
from shipkeeper.operator.api.backups import BACKUP, BACKUP_REPOSITORY, BackupStatus
from shipkeeper.operator.api.kind import CustomObject, Kind
from shipkeeper.operator.backups.grants import OWN_EXTRAS
from shipkeeper.store.findings import Report
from shipkeeper.store.values import Backup
from shipkeeper.store.verify import verify
from tests.operator.harbour import ACCOUNT, NAMESPACE, Harbour
from tests.store import s3

Status = TypeVar("Status")


class Vault:
    """A repository in a folder, or at a URL, declared as a BackupRepository.

    One at a URL is opened with what the Secret `NAME-store` has, which must be there.
    """

    def __init__(
        self,
        harbour: Harbour,
        directory: Path,
        name: str = "vault",
        *,
        url: str = "",
        endpoint: str = "",
    ) -> None:
        self.harbour = harbour
        self.name = name
        self.place = Place(
            url=url or str(directory / name),
            endpoint=endpoint,
            key=str(directory / f"{name}.key"),
            identity=str(directory / f"{name}.age"),
        )

    async def build(self, *, with_identity: bool = True) -> "Vault":
        """Make the repository, and declare it with its keys."""
        await create_repository(self.place, ())
        await self.secret("key", f"--from-file=writer.key={self.place.key}")
        await self.secret("identity", f"--from-file=reader.age={self.place.identity}")
        spec: dict[str, Any] = {"url": self.place.url, "keySecret": {"name": f"{self.name}-key"}}
        if self.place.endpoint:
            spec |= {
                "endpoint": self.place.endpoint,
                "storeSecret": {"name": f"{self.name}-store"},
            }
        if with_identity:
            spec["identitySecret"] = {"name": f"{self.name}-identity"}
        await self.harbour.create(BACKUP_REPOSITORY, self.name, spec)
        return self

    async def forbid(self) -> None:
        """Take back what the operator was allowed for backups and restores."""
        names = [f"{ACCOUNT}-{each}" for each in OWN_EXTRAS]
        for kinds in ("clusterrole,clusterrolebinding", f"-n={NAMESPACE} role,rolebinding"):
            await self.harbour.kubectl("delete", *kinds.split(), *names, "--ignore-not-found")

    async def secret(self, suffix: str, *content: str) -> None:
        """Make a Secret beside the operator."""
        name, place = f"{self.name}-{suffix}", f"--namespace={NAMESPACE}"
        kubectl = self.harbour.kubectl
        await kubectl("delete", "secret", name, place, "--ignore-not-found")
        await kubectl("create", "secret", "generic", name, place, *content)

    async def back_up(self, name: str, **spec: Any) -> None:
        """Ask for a backup."""
        await self.harbour.create(BACKUP, name, {"repository": self.name, **spec})

    async def backups(self) -> list[Backup]:
        """What is visible in the repository."""
        async with open_repository(self.place) as opened:
            return await opened.backups()

    async def verified(self) -> Report:
        """What a check of the whole repository finds."""
        async with open_repository(self.place) as opened:
            return await verify(opened)

    async def ended(self, name: str) -> BackupStatus:
        """The status of a Backup, once it came to an end."""
        return await self.backup(
            name, lambda status: status.phase in ("Completed", "Incomplete", "Failed")
        )

    async def backup(self, name: str, predicate: Callable[[BackupStatus], bool]) -> BackupStatus:
        """The status of a Backup, once it is as wanted."""
        return await stands(self.harbour, BACKUP, BackupStatus, name, predicate)


async def in_bucket(harbour: Harbour, directory: Path, endpoint: str) -> Vault:
    """A repository of its own in the bucket of the tests' S3 server."""
    url = f"s3://{s3.BUCKET}/{uuid4().hex}"
    found = Vault(harbour, directory, url=url, endpoint=endpoint)
    store = {"AWS_ACCESS_KEY_ID": s3.ACCESS, "AWS_SECRET_ACCESS_KEY": s3.SECRET}
    await found.secret("store", *(f"--from-literal={key}={each}" for key, each in store.items()))
    return await found.build()


async def stands(
    harbour: Harbour,
    kind: Kind[Any],
    status: type[Status],
    name: str,
    predicate: Callable[[Status], bool],
    *,
    within: float = 400.0,
) -> Status:
    """The status of an object, once it is as wanted."""

    def read(found: CustomObject) -> Status:
        return msgspec.json.decode(found.status, type=status)

    def holds(objects: Mapping[str, CustomObject]) -> bool:
        return name in objects and predicate(read(objects[name]))

    async with Reflector(
        harbour.reader, kind.resource, field_selector=f"metadata.name={name}"
    ) as following:
        try:
            async with asyncio.timeout(within):
                await following.wait_for(holds)
        except TimeoutError:
            said = "\n".join([await each.where() for each in harbour.replicas])
            seen = read(following.objects[name]) if following.objects else None
            raise AssertionError(f"{seen}\n{said}") from None
        return read(following.objects[name])
