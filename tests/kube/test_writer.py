"""Writing to the real API server."""

import pytest

from shipkeeper.kube.errors import NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer
from shipkeeper.sandbox.sandbox import Sandbox
from tests.access.world import connected
from tests.kube.objects import CONFIG_MAPS


async def test_a_dry_run_deletes_nothing(sandbox: Sandbox) -> None:
    manifest = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "dry"}}
    async with connected(sandbox.kubeconfig) as connection:
        reader, writer = Reader(connection), Writer(connection)
        made = await writer.create(CONFIG_MAPS, manifest, namespace="default")
        checker = Writer(connection, dry_run=True)
        await checker.delete(CONFIG_MAPS, "dry", namespace="default", uid=made.uid)
        assert (await reader.get(CONFIG_MAPS, "dry", "default")).uid == made.uid
        await writer.delete(CONFIG_MAPS, "dry", namespace="default", uid=made.uid)
        with pytest.raises(NotFoundError):
            await reader.get(CONFIG_MAPS, "dry", "default")
