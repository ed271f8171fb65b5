"""Reading, and what a connection makes of everything that is not the answer it asked for."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import pytest

from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.errors import (
    ApiError,
    ForbiddenError,
    MalformedAnswerError,
    NotFoundError,
    TooManyRequestsError,
    UnauthorizedError,
    UnreachableError,
)
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import BUDGETS, BUDGETS_BETA, NODES, PODS
from shipkeeper.kube.writer import Writer
from shipkeeper.sandbox.assets.versions import NEWEST
from shipkeeper.sandbox.sandbox import Sandbox
from tests.faults.certificate import write_kubeconfig, write_server_certificate
from tests.faults.faults import Answer, Delay, Drop, LoseAnswer, over_budget, refusal, slow_down
from tests.faults.proxy import FaultProxy
from tests.kube.conftest import create_namespace
from tests.kube.marks import ON_NEWEST
from tests.kube.objects import CONFIG_MAPS, MINE, config_map

CROWD = [f"object-{number:04}" for number in range(1001)]

Send: TypeAlias = Callable[[Writer, str], Awaitable[object]]


async def _create(writer: Writer, namespace: str) -> object:
    return await writer.create(CONFIG_MAPS, config_map("a"), namespace=namespace)


async def _patch(writer: Writer, namespace: str) -> object:
    return await writer.patch(CONFIG_MAPS, "old", {"data": {"n": "2"}}, namespace=namespace)


async def _delete(writer: Writer, namespace: str) -> object:
    return await writer.delete(CONFIG_MAPS, "old", namespace=namespace)


CHANGES = pytest.mark.parametrize(
    ("method", "send"), [("POST", _create), ("PATCH", _patch), ("DELETE", _delete)]
)


@pytest.fixture
async def distant(reader: Reader, writer: Writer, namespace: str) -> Writer:
    """A writer behind the proxy, on a connection that was used before; `old` is there."""
    await writer.create(CONFIG_MAPS, config_map("old"), namespace=namespace)
    await reader.get(CONFIG_MAPS, "old", namespace)
    return Writer(reader.connection)


@pytest.fixture(scope="module")
async def crowd(sandbox: Sandbox) -> str:
    """A namespace with three pages of objects."""
    async with connect(ConnectionOptions(kubeconfig=str(sandbox.kubeconfig))) as connection:
        writer = Writer(connection)
        namespace = await create_namespace(writer)
        async with asyncio.TaskGroup() as group:
            for name in CROWD:
                manifest = config_map(name)
                group.create_task(writer.create(CONFIG_MAPS, manifest, namespace=namespace))
    return namespace


async def test_lists_page_by_page_at_one_revision(
    reader: Reader, crowd: str, proxy: FaultProxy
) -> None:
    listing = await reader.list(CONFIG_MAPS, namespace=crowd, label_selector=MINE)
    assert sorted(each.name for each in listing.items) == CROWD
    assert proxy.count("GET", "configmaps") == 3
    newest = max(int(each.metadata.resource_version) for each in listing.items)
    assert int(listing.resource_version) >= newest


async def test_keeps_only_what_is_wanted_of_each_page(reader: Reader, crowd: str) -> None:
    wanted = {CROWD[0], CROWD[499], CROWD[500], CROWD[-1]}
    listing = await reader.list(
        CONFIG_MAPS, namespace=crowd, label_selector=MINE, keep=lambda each: each.name in wanted
    )
    assert {each.name for each in listing.items} == wanted


@pytest.mark.parametrize("page", [2, 3])
async def test_an_expired_page_starts_the_list_over(
    reader: Reader, crowd: str, proxy: FaultProxy, page: int
) -> None:
    proxy.inject(Delay(0), path="continue=", times=page - 2)
    expired = proxy.inject(refusal(410, "Expired"), path="continue=")
    listing = await reader.list(CONFIG_MAPS, namespace=crowd, label_selector=MINE)
    assert expired.count == 1
    assert sorted(each.name for each in listing.items) == CROWD


async def test_selects_on_the_server(reader: Reader, writer: Writer, namespace: str) -> None:
    for name in ("a", "b"):
        await writer.create(CONFIG_MAPS, config_map(name), namespace=namespace)
    chosen = await reader.list(
        CONFIG_MAPS, namespace=namespace, label_selector=MINE, field_selector="metadata.name=b"
    )
    assert [each.name for each in chosen.items] == ["b"]


async def test_knows_what_the_server_speaks(reader: Reader, sandbox: Sandbox) -> None:
    assert str(await reader.version()) == sandbox.version
    is_newest = sandbox.version == NEWEST
    assert await reader.eviction_version() == ("v1" if is_newest else "v1beta1")
    assert await reader.budget_resource() == (BUDGETS if is_newest else BUDGETS_BETA)


async def test_what_is_not_there_is_not_found(reader: Reader, namespace: str) -> None:
    with pytest.raises(NotFoundError, match='configmaps "nothing" not found'):
        await reader.get(CONFIG_MAPS, "nothing", namespace)


@ON_NEWEST
async def test_a_read_outlasts_trouble(reader: Reader, proxy: FaultProxy) -> None:
    for fault in (refusal(500, "InternalError"), Drop(), refusal(503, "ServiceUnavailable")):
        proxy.inject(fault, path="nodes")
    proxy.inject(LoseAnswer(), path="nodes")
    await reader.list(NODES)
    assert proxy.count("GET", "nodes") == 5


@ON_NEWEST
async def test_a_read_gives_up_in_the_end(reader: Reader, proxy: FaultProxy) -> None:
    broken = proxy.inject(refusal(500, "InternalError", "etcd is away"), times=None)
    with pytest.raises(ApiError, match="etcd is away") as caught:
        await reader.list(NODES)
    assert caught.value.status.code == 500
    assert broken.count == 5


@ON_NEWEST
@CHANGES
async def test_a_change_whose_answer_got_lost_is_not_sent_again(
    distant: Writer, proxy: FaultProxy, namespace: str, method: str, send: Send
) -> None:
    lost = proxy.inject(LoseAnswer(), method=method)
    with pytest.raises(UnreachableError) as caught:
        await send(distant, namespace)
    assert caught.value.was_sent
    assert (lost.count, proxy.count(method, "configmaps")) == (1, 1)


@ON_NEWEST
@CHANGES
async def test_a_change_that_the_server_failed_at_is_not_sent_again(
    distant: Writer, proxy: FaultProxy, namespace: str, method: str, send: Send
) -> None:
    proxy.inject(refusal(500, "InternalError"), method=method)
    with pytest.raises(ApiError):
        await send(distant, namespace)
    assert proxy.count(method, "configmaps") == 1


@ON_NEWEST
async def test_a_change_that_the_server_put_off_is_sent_when_it_says(
    distant: Writer, reader: Reader, proxy: FaultProxy, namespace: str
) -> None:
    proxy.inject(slow_down(1), times=2)
    began = time.monotonic()
    await _create(distant, namespace)
    assert time.monotonic() - began >= 2
    assert proxy.count("POST", "configmaps") == 3
    await reader.get(CONFIG_MAPS, "a", namespace)


@ON_NEWEST
async def test_a_used_up_budget_is_not_a_reason_to_send_again(
    distant: Writer, proxy: FaultProxy, namespace: str
) -> None:
    proxy.inject(over_budget("web"), method="POST")
    with pytest.raises(TooManyRequestsError) as caught:
        await _create(distant, namespace)
    assert caught.value.status.has_cause("DisruptionBudget")
    assert proxy.count("POST", "configmaps") == 1


@ON_NEWEST
async def test_a_change_that_never_left_is_sent_when_the_server_is_back(
    distant: Writer, sandbox: Sandbox, proxy: FaultProxy, namespace: str, tmp_path: Path
) -> None:
    await proxy.close()
    creating = asyncio.create_task(_create(distant, namespace))
    await asyncio.sleep(0.2)
    async with FaultProxy(sandbox.kubeconfig, tmp_path, port=proxy.port):
        await asyncio.wait_for(creating, 30)


@ON_NEWEST
async def test_silence_is_not_waited_out(distant: Writer, proxy: FaultProxy) -> None:
    proxy.inject(Delay(3600))
    with pytest.raises(UnreachableError, match="no answer in time"):
        await distant.connection.send("POST", "/", timeout=timedelta(seconds=0.5))


@pytest.fixture
async def nobody(sandbox: Sandbox) -> AsyncIterator[Connection]:
    """A connection of a user who may do nothing."""
    kubeconfig = str(sandbox.issue_kubeconfig("nobody", ()))
    async with connect(ConnectionOptions(kubeconfig=kubeconfig)) as connection:
        yield connection


async def test_what_is_forbidden_is_named(nobody: Connection) -> None:
    reader, writer = Reader(nobody), Writer(nobody)
    refused: list[tuple[Awaitable[object], str, str]] = [
        (reader.list(NODES), "list nodes", "list nodes"),
        (reader.get(NODES, "n1"), 'get nodes "n1"', "get nodes"),
        (writer.patch(NODES, "n1", {}), 'patch nodes "n1"', "patch nodes"),
        (
            writer.delete(PODS, "p", namespace="prod"),
            'delete pods "p" in namespace "prod"',
            "delete pods --namespace=prod",
        ),
        (
            writer.post_subresource(PODS, "p", "eviction", {}, namespace="prod"),
            'create pods/eviction "p" in namespace "prod"',
            "create pods --subresource=eviction --namespace=prod",
        ),
    ]
    for asking, words, permission in refused:
        with pytest.raises(ForbiddenError) as caught:
            await asking
        assert caught.value.message.startswith(f"not allowed to {words}: ")
        assert caught.value.hint.endswith(f"kubectl auth can-i {permission}")


async def test_an_expired_certificate_is_named(sandbox: Sandbox) -> None:
    expiry = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    expired = sandbox.issue_kubeconfig("late", ("system:masters",), not_after=expiry)
    async with connect(ConnectionOptions(kubeconfig=str(expired))) as connection:
        with pytest.raises(UnauthorizedError) as caught:
            await Reader(connection).list(NODES)
    assert caught.value.reason == "CertificateExpired"
    assert "expired at 2026-01-02 03:04:05Z" in caught.value.message


@ON_NEWEST
async def test_a_server_that_is_not_there_is_named(proxy: FaultProxy) -> None:
    await proxy.close()
    error = await _failure(proxy.kubeconfig)
    assert error.reason == "Unreachable"
    server = f"https://127.0.0.1:{proxy.port}"
    assert error.message == f"cannot reach the API server at {server}: Connection refused"
    assert "--context" in error.hint
    assert not error.was_sent


@ON_NEWEST
async def test_a_server_of_another_authority_is_not_trusted(
    proxy: FaultProxy, tmp_path: Path
) -> None:
    write_server_certificate(tmp_path / "other.pem")
    server = f"https://127.0.0.1:{proxy.port}"
    other = write_kubeconfig(tmp_path / "other.kubeconfig", server, tmp_path / "other.pem")
    error = await _failure(other)
    assert error.reason == "CertificateInvalid"
    assert "self-signed certificate" in error.message
    assert proxy.requests == []


@ON_NEWEST
async def test_a_server_with_an_expired_certificate_is_not_trusted(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    async with FaultProxy(sandbox.kubeconfig, tmp_path, not_after=yesterday) as proxy:
        error = await _failure(proxy.kubeconfig)
    assert error.reason == "CertificateInvalid"
    assert "certificate has expired" in error.message


async def test_a_server_without_tls_is_named(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        write_server_certificate(tmp_path / "s.pem")
        kubeconfig = write_kubeconfig(
            tmp_path / "plain.kubeconfig", f"https://127.0.0.1:{port}", tmp_path / "s.pem"
        )
        error = await _failure(kubeconfig)
    assert error.reason == "TLSFailed"


@ON_NEWEST
async def test_an_answer_that_is_no_api_servers_is_named(reader: Reader, proxy: FaultProxy) -> None:
    proxy.inject(Answer(200, {"items": "please log in to this network"}))
    with pytest.raises(MalformedAnswerError, match=r"cannot read the answer \(to list nodes\)"):
        await reader.list(NODES)


async def _failure(kubeconfig: Path) -> UnreachableError:
    async with connect(ConnectionOptions(kubeconfig=str(kubeconfig))) as connection:
        with pytest.raises(UnreachableError) as caught:
            await Reader(connection).list(NODES)
    return caught.value
