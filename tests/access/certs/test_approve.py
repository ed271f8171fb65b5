"""Requests of kubelets: the honest one is approved and issued, every forged one stays pending."""

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from shipkeeper.kube.connection import Connection
from shipkeeper.sandbox.sandbox import Sandbox
from tests.access.certs.authority import request
from tests.access.certs.objects import certificate_request, node, path_of
from tests.access.world import connected
from tests.cli.user import User

ME, GROUP = "system:node:approve-1", ("system:nodes",)
HONEST = ("approve-1", "10.0.9.1")
FORGED = {
    "service": ("approve-1", "kubernetes.default.svc"),
    "address": ("10.0.9.9",),
    "of-another": ("10.0.9.2",),
    "no-name": (),
}
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


@pytest.fixture
async def pending(sandbox: Sandbox) -> AsyncGenerator[Connection]:
    """Two nodes, the second of which reports an address of the first as its own, and requests."""
    nodes = [node("approve-1", "10.0.9.1"), node("approve-2", "10.0.9.2")]
    requests = [certificate_request("honest", request(ME, GROUP, HONEST))]
    requests += [
        certificate_request(name, request(ME, GROUP, names)) for name, names in FORGED.items()
    ]
    kubelet = sandbox.issue_kubeconfig(ME, GROUP)
    async with connected(sandbox.kubeconfig) as connection, connected(kubelet) as as_node:
        for each in nodes:
            await connection.send("POST", path_of(each), body=each)
            await connection.send(
                "PATCH",
                f"{path_of(each)}/{each['metadata']['name']}/status",
                body={"status": each["status"]},
                content_type="application/merge-patch+json",
            )
        for each in requests:
            await as_node.send("POST", path_of(each), body=each)
        yield connection
        for each in (*nodes, *requests):
            await connection.send("DELETE", f"{path_of(each)}/{each['metadata']['name']}")


async def statuses(connection: Connection) -> dict[str, Any]:
    listed = json.loads(await connection.send("GET", REQUESTS))
    return {each["metadata"]["name"]: each.get("status", {}) for each in listed["items"]}


async def test_only_what_matches_the_node_is_approved(
    sandbox: Sandbox, pending: Connection, tmp_path: Path
) -> None:
    user = User(sandbox, tmp_path)
    for dry in ("client", "server"):
        done = await user.run("certs", "approve", f"--dry-run={dry}", "-o", "json")
        assert done.returncode == 5, done.stderr
        assert user.writes() == []
    assert not any(each.get("conditions") for each in (await statuses(pending)).values())

    done = await user.run("certs", "approve", "-o", "json")
    assert done.returncode == 5, done.stderr
    decisions = {each["request"]: each for each in json.loads(done.stdout)["items"]}
    outcomes = {name: each["outcome"] for name, each in decisions.items()}
    assert outcomes.pop("certs-honest") == "approved"
    assert outcomes == {f"certs-{name}": "refused" for name in FORGED}
    assert all(decisions[name]["obstacles"] for name in outcomes)
    assert len(user.writes()) == 1
    for name, status in (await statuses(pending)).items():
        assert bool(status.get("conditions")) is (name == "certs-honest"), name

    async with asyncio.timeout(30):
        while not (await statuses(pending))["certs-honest"].get("certificate"):
            await asyncio.sleep(0.1)
    done = await user.run("certs", "list", "-o", "json")
    issued = [each for each in json.loads(done.stdout)["items"] if each["kind"] == "csr"]
    assert [sorted(each["names"]) for each in issued] == [sorted(HONEST)]


async def test_a_request_that_is_not_there_is_a_usage_error(
    newest: Sandbox, tmp_path: Path
) -> None:
    done = await User(newest, tmp_path).run("certs", "approve", "nowhere")
    assert done.returncode == 2
    assert "nowhere" in done.stderr
