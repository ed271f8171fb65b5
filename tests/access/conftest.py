"""A cluster worth robbing, for all tests that go ways to more power on a real server."""

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import NotFoundError
from shipkeeper.sandbox.sandbox import Sandbox
from tests.access.robber import deployment, pod
from tests.access.ways import NAMESPACE, landscape
from tests.access.world import connected, create

_RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture(scope="session")
async def overseer(newest: Sandbox) -> AsyncIterator[Connection]:
    async with connected(newest.kubeconfig) as connection:
        yield connection


@pytest.fixture(scope="session")
async def town(overseer: Connection) -> AsyncIterator[Connection]:
    """What the ways are about: pods, a deployment, Secrets, a mighty ServiceAccount."""
    objects = [each for each in landscape() if each["kind"] != "Pod"]
    secret = {"apiVersion": "v1", "kind": "Secret", "data": {"key": "cHJpemU="}}
    prize = {**secret, "metadata": {"name": "prize", "namespace": "kube-system"}}
    target = pod(
        "target",
        nodeName="ways-node",
        serviceAccountName="mighty",
        tolerations=[{"operator": "Exists"}],
    )
    target["metadata"]["namespace"] = NAMESPACE
    await create(overseer, *objects, prize, target)
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
    await overseer.send("POST", path, body=deployment("app", "default"))
    yield overseer
    for path in (
        f"/api/v1/namespaces/{NAMESPACE}",
        "/api/v1/namespaces/ways-strict",
        "/api/v1/nodes/ways-node",
        "/api/v1/persistentvolumes/way-volume",
        "/api/v1/namespaces/kube-system/secrets/prize",
        f"{_RBAC}/clusterroles/harmless",
        f"{_RBAC}/clusterrolebindings/mighty",
    ):
        with suppress(NotFoundError):
            await overseer.send("DELETE", path)
