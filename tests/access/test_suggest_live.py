"""Roles suggested from a real audit log: what was done can be done again, no rule is to spare.

The log is replayed on the server under the suggested roles, and under them without each rule.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from shipkeeper.access.chain import Chain
from shipkeeper.access.needs import needs_of
from shipkeeper.access.observe import observe
from shipkeeper.access.suggest import Needs
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import ApiError, ForbiddenError
from shipkeeper.sandbox.sandbox import Sandbox
from tests.access.flips import path_of
from tests.access.replay import Replay, requests_of
from tests.access.robber import MERGE, Robber, minted, pod
from tests.access.servers import with_credentials
from tests.access.ways import bound, rule
from tests.access.world import connected, create, delete, until_allowed

_SPACES = ("deeds", "deeds-besides")
_HERE = f"/api/v1/namespaces/{_SPACES[0]}"
_THERE = f"/api/v1/namespaces/{_SPACES[1]}"
_LAG_SECONDS = 20.0
# Far more than is ever done.
_WIDE: tuple[dict[str, Any], ...] = (
    rule("*", "pods pods/eviction configmaps secrets services namespaces nodes"),
    rule("*", "deployments deployments/scale replicasets", "apps"),
    rule("*", "users groups serviceaccounts serviceaccounts/token"),
    rule("*", "userextras/team uids", "authentication.k8s.io"),
    {"verbs": ["get"], "nonResourceURLs": ["/readyz/etcd", "/logs/*", "/livez*"]},
)


@pytest.fixture(scope="module")
async def admin(newest: Sandbox) -> AsyncIterator[Connection]:
    async with connected(newest.kubeconfig) as connection:
        spaces: list[dict[str, Any]] = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": each}}
            for each in _SPACES
        ]
        target = pod("target")
        target["metadata"]["namespace"] = _SPACES[0]
        await create(connection, *spaces, target)
        yield connection
        await delete(connection, *spaces)


async def deeds(own: Robber) -> None:
    """Reads and writes of all sorts: in two namespaces and in none, by name, and as others."""
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}}
    await own.send("GET", f"{_HERE}/pods")
    await own.send("GET", f"{_HERE}/pods/target")
    await own.send("GET", f"{_HERE}/pods", query={"watch": "1", "timeoutSeconds": "1"})
    await own.send("GET", f"{_HERE}/pods", query={"fieldSelector": "metadata.name=target"})
    with suppress(ApiError):
        await own.send("POST", f"{_HERE}/pods/target/eviction")
    await own.send("POST", f"{_HERE}/configmaps", config)
    await own.patch(f"{_HERE}/configmaps/mine", {"data": {"a": "b"}})
    await own.send("DELETE", f"{_HERE}/configmaps/mine")
    await own.send("GET", f"{_THERE}/services")
    await own.send("GET", "/apis/apps/v1/deployments")
    await own.send("GET", f"/apis/apps/v1/namespaces/{_SPACES[0]}/deployments")
    await own.send("GET", f"/api/v1/namespaces/{_SPACES[1]}")
    await own.send("GET", "/api/v1/nodes")
    await own.send("GET", "/readyz/etcd")
    await own.send("GET", "/livez/ping")
    other = await own.as_other("deeds-other", "deeds-team")
    with pytest.raises(ForbiddenError):
        await other.send("GET", f"{_HERE}/secrets")
    await other.send("GET", "/version")
    account = await own.as_other(f"system:serviceaccount:{_SPACES[0]}:default")
    await account.send("GET", "/version")
    # What is refused is not needed.
    with pytest.raises(ForbiddenError):
        await own.send("GET", "/api/v1/limitranges")


def suggested(log: Path, subject: str, chain: Chain, *, names: bool) -> tuple[dict[str, Any], ...]:
    needs = Needs(with_names=names)
    with log.open("rb") as lines:
        for line in lines:
            for asked in needs_of(line):
                needs.add(asked)
    return needs.suggest(subject, chain).manifests


@pytest.mark.parametrize("names", [False, True], ids=["kinds", "names"])
@pytest.mark.parametrize("sort", ["user", "account"])
async def test_the_log_is_replayed(
    newest: Sandbox, admin: Connection, tmp_path: Path, sort: str, *, names: bool
) -> None:
    name = f"deeds-{sort}-{'names' if names else 'kinds'}"
    subject, kubeconfig = await _subject(
        newest, admin, tmp_path, name, is_account=sort == "account"
    )
    wide = bound(name, "", _WIDE)
    wide[1]["subjects"] = [_as_subject(subject)]
    await create(admin, *wide)
    async with AsyncExitStack() as stack:
        own = await stack.enter_async_context(connected(kubeconfig))
        await until_allowed(own, f"{_HERE}/configmaps")
        await deeds(Robber(newest, subject, own, admin, stack, kubeconfig=kubeconfig))
    made = suggested(newest.audit_log, subject, Chain(await observe(admin)), names=names)
    requests = requests_of(newest.audit_log, subject)
    assert len(requests) > 15
    await delete(admin, *wide)
    try:
        async with Replay.by(kubeconfig, requests) as replay:
            assert await _comes_to(replay, allowed=False)
            await create(admin, *made)
            assert await _comes_to(replay, allowed=True)
            rules = [(role, rule) for role in made for rule in role.get("rules", ())]
            assert len(rules) > 10
            for role, each in rules:
                await _rewrite(admin, role, [other for other in role["rules"] if other != each])
                assert await _comes_to(replay, allowed=False), each
                await _rewrite(admin, role, role["rules"])
                assert await _comes_to(replay, allowed=True)
    finally:
        await delete(admin, *made)


async def _subject(
    sandbox: Sandbox, admin: Connection, place: Path, name: str, *, is_account: bool
) -> tuple[str, Path]:
    """Full name and kubeconfig of a new user or ServiceAccount."""
    if not is_account:
        return name, sandbox.issue_kubeconfig(name, ("deeds-organization",))
    metadata = {"name": name, "namespace": _SPACES[0]}
    await create(admin, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    async with AsyncExitStack() as stack:
        token = await minted(Robber(sandbox, "nobody", admin, admin, stack), _SPACES[0], name)
    kubeconfig = with_credentials(sandbox.kubeconfig, place / "account.conf", {"token": token})
    return f"system:serviceaccount:{_SPACES[0]}:{name}", kubeconfig


def _as_subject(subject: str) -> dict[str, Any]:
    if subject.startswith("system:serviceaccount:"):
        namespace, _, name = subject.removeprefix("system:serviceaccount:").partition(":")
        return {"kind": "ServiceAccount", "namespace": namespace, "name": name}
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": subject}


async def _comes_to(replay: Replay, *, allowed: bool) -> bool:
    """Whether a replay has no denial (or some); an authorizer learns of a change a moment later."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAG_SECONDS):
            while bool(await replay.denied()) is allowed:
                await asyncio.sleep(0.02)
            return True
    return False


async def _rewrite(admin: Connection, role: dict[str, Any], rules: list[Any]) -> None:
    await admin.send("PATCH", path_of(role), body={"rules": rules}, content_type=MERGE)
