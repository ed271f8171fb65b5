"""What waited for its turn heeds no old spec: objects are looked at as they are."""

import pytest

from shipkeeper.kube.errors import ConflictError, NotFoundError
from shipkeeper.operator.api.backups import BACKUP_SCHEDULE
from shipkeeper.operator.current import as_it_is
from tests.operator.harbour import Harbour

SPEC = {"schedule": {"cron": "0 0 29 2 *"}, "repository": "vault", "keep": {"last": 1}}


async def test_an_object_that_asks_for_something_else_by_now_is_told_apart(
    harbour: Harbour,
) -> None:
    kind, name, reader = BACKUP_SCHEDULE, "kept", harbour.reader
    seen = await harbour.create(kind, name, SPEC)
    await harbour.writer.patch(kind.resource, name, {"metadata": {"labels": {"a": "b"}}})
    found = await as_it_is(reader, kind, seen)
    assert found.metadata.resource_version != seen.metadata.resource_version
    await harbour.writer.patch(kind.resource, name, {"spec": {"keep": {"last": 9}}})
    with pytest.raises(ConflictError, match="has changed"):
        await as_it_is(reader, kind, seen)
    await harbour.writer.delete(kind.resource, name)
    await harbour.create(kind, name, SPEC)
    with pytest.raises(NotFoundError, match="is gone"):
        await as_it_is(reader, kind, seen)
