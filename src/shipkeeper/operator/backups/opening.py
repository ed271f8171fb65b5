"""Opening a BackupRepository: its place, and the keys out of the Secrets that it names.

A Secret is read each time anew: who changes a key changes it at once. Kept is only the identity, as
opening one under a passphrase is dear, and only while its Secret is the same.
"""

from base64 import b64decode
from collections.abc import Mapping
from enum import Enum

import msgspec

from shipkeeper.errors import ShipkeeperError, UsageError
from shipkeeper.kube.errors import ForbiddenError, NotFoundError
from shipkeeper.kube.resources import Resource
from shipkeeper.model.meta import KubeObject
from shipkeeper.operator.api.backups import (
    BACKUP_REPOSITORY,
    BackupRepositorySpec,
    BackupRepositoryStatus,
    SecretRef,
)
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.backups.standing import REPOSITORY_CHANGED
from shipkeeper.operator.backups.unsealing import unsealed
from shipkeeper.operator.scene import Scene
from shipkeeper.store.keys import ReaderKey, WriterKey, read_writer_key
from shipkeeper.store.location import open_location
from shipkeeper.store.repository import Repository

WRITER_KEY = "writer.key"
IDENTITY = "reader.age"
PASSPHRASE = "passphrase"  # noqa: S105 (the name of a key in a Secret)


class Reading(Enum):
    """Whether the identity is taken, without which nothing can be decrypted."""

    NOT = "not"
    IF_NAMED = "if it is named"
    NEEDED = "needed"


class NotReadyError(ShipkeeperError):
    """The repository cannot be opened as things are; nothing was begun."""


class _Secret(KubeObject, frozen=True, kw_only=True):
    """A Secret; its values are in base64."""

    data: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"_Secret({self.key!r})"


_SECRETS = Resource("", "v1", "secrets", "Secret", _Secret)


def spec_named(repositories: Mapping[str, CustomObject], name: str) -> BackupRepositorySpec:
    """What the BackupRepository of a name asks for; NotReadyError if there is none, or nonsense."""
    found = repositories.get(name)
    if found is None:
        raise NotReadyError(
            f"there is no BackupRepository {name}",
            reason="RepositoryNotFound",
            hint="create one of that name",
        )
    try:
        return BACKUP_REPOSITORY.read(found)
    except msgspec.DecodeError as error:
        raise NotReadyError(
            f"the spec of BackupRepository {name} makes no sense: {error}",
            reason="RepositoryMalformed",
            hint="mend it",
        ) from error


async def open_named(
    scene: Scene,
    repositories: Mapping[str, CustomObject],
    name: str,
    reading: Reading = Reading.NOT,
) -> Repository:
    """Open the BackupRepository of a name; NotReadyError with the reason if that cannot be."""
    spec = spec_named(repositories, name)
    try:
        return await open_repository(scene, spec, reading)
    except ShipkeeperError as error:
        raise NotReadyError(
            f"BackupRepository {name}: {error.message}", reason=error.reason, hint=error.hint
        ) from error


async def open_repository(scene: Scene, spec: BackupRepositorySpec, reading: Reading) -> Repository:
    """Open a repository with the keys that it names."""
    if reading is Reading.NEEDED and spec.identity_secret is None:
        raise UsageError(
            "it has no identitySecret, without which backups cannot be read",
            reason="NoIdentity",
            hint=f"put the identity into a Secret as {IDENTITY}, and name that there",
        )
    secrets = _Secrets(scene)
    store = await secrets.values(spec.store_secret) if spec.store_secret else {}
    blobs = open_location(
        spec.url,
        endpoint=spec.endpoint or "",
        settings={name: _text(value) for name, value in store.items()},
    )
    writer = await secrets.writer_key(spec.key_secret)
    named = None if reading is Reading.NOT else spec.identity_secret
    reader = await secrets.identity(named) if named else None
    return await Repository.open(blobs, writer=writer, reader=reader)


def known_as(repositories: Mapping[str, CustomObject], id_: str, name: str) -> str:
    """The name of the BackupRepository that was found to have an id; else the given one."""
    statuses = (
        (each.name, msgspec.json.decode(each.status, type=BackupRepositoryStatus))
        for each in repositories.values()
    )
    known = {each for each, status in statuses if status.id == id_}
    return name if name in known else min(known, default=name)


def require_same(opened: Repository, id_: str, name: str) -> None:
    """NotReadyError if a BackupRepository is not the repository that something was begun with."""
    if id_ not in ("", opened.id):
        raise NotReadyError(
            f"it was begun with repository {id_}, and BackupRepository {name} is {opened.id} now",
            reason=REPOSITORY_CHANGED,
            hint="have a BackupRepository of that name with the url and the keys as they were",
        )


class _Secrets:
    """The Secrets of the operator's namespace."""

    def __init__(self, scene: Scene) -> None:
        self._reader = scene.reader
        self._namespace = scene.namespace
        self._identities = scene.identities

    async def writer_key(self, secret: SecretRef) -> WriterKey:
        content = await self._value(secret, WRITER_KEY)
        return read_writer_key(content, self._called(secret, WRITER_KEY))

    async def identity(self, secret: SecretRef) -> ReaderKey:
        found = await self._get(secret)
        values = _values(found)
        content = self._present(values, secret, IDENTITY)
        passphrase = _text(values.get(PASSPHRASE, b"")).rstrip("\n")
        source = self._called(secret, IDENTITY)
        return await self._identities.get(
            secret.name,
            f"{found.uid}/{found.metadata.resource_version}",
            lambda: unsealed(content, source, passphrase),
        )

    async def _value(self, secret: SecretRef, key: str) -> bytes:
        return self._present(await self.values(secret), secret, key)

    async def values(self, secret: SecretRef) -> dict[str, bytes]:
        """What a Secret holds."""
        return _values(await self._get(secret))

    async def _get(self, secret: SecretRef) -> _Secret:
        called = f"Secret {self._namespace}/{secret.name}"
        try:
            return await self._reader.get(_SECRETS, secret.name, self._namespace)
        except NotFoundError:
            self._identities.forget(secret.name)
            raise UsageError(
                f"there is no {called}", reason="SecretNotFound", hint="create it"
            ) from None
        except ForbiddenError:
            raise UsageError(
                f"the operator may not get {called}",
                reason="NotPermitted",
                hint="allow it backups: `operator manifests --allow backups`, or "
                "permissions.backups of the chart",
            ) from None

    def _present(self, values: Mapping[str, bytes], secret: SecretRef, key: str) -> bytes:
        if key not in values:
            raise UsageError(
                f"{self._called(secret, key)} is not there",
                reason="KeyNotFound",
                hint=f"put the file into it: kubectl create secret generic {secret.name} "
                f"-n {self._namespace} --from-file={key}",
            )
        return values[key]

    def _called(self, secret: SecretRef, key: str) -> str:
        return f"{key} of Secret {self._namespace}/{secret.name}"


def _values(found: _Secret) -> dict[str, bytes]:
    return {key: b64decode(value) for key, value in found.data.items()}


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
