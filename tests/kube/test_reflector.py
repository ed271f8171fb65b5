"""What a reflector tells of real API servers, and how it begins and ends."""

import asyncio
import gc
import tracemalloc
from pathlib import Path

import pytest

from shipkeeper.kube.changes import Added, Change, Deleted, Modified
from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.kube.errors import ForbiddenError, UnreachableError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.reflector import Reflector
from shipkeeper.kube.writer import Writer
from shipkeeper.sandbox.sandbox import Sandbox
from tests.faults.faults import (
    Cut,
    Delay,
    Drop,
    refusal,
)
from tests.faults.proxy import FaultProxy
from tests.kube.following import LIMIT, Followed, eventually, following
from tests.kube.marks import ON_NEWEST
from tests.kube.objects import (
    CONFIG_MAPS,
    LABELS,
    MINE,
    ROLE_BINDINGS,
    ROLES,
    ConfigMap,
    config_map,
)

WATCH = "watch=true"


LIST = r"configmaps\?.*limit="


async def test_tells_each_change_once_in_order_with_what_was_before(followed: Followed) -> None:
    created = await followed.create("a", n="1")
    changed = await followed.change("a", n="2")
    await followed.delete("a")
    await followed.create("end")
    await followed.until_told_of("end")

    added, modified, deleted, _ = followed.told
    assert added == Added(created)
    assert modified == Modified(created, changed)
    assert isinstance(deleted, Deleted)
    assert deleted.object.data == {"n": "2"}
    assert [key.split("/")[1] for key in followed.reflector.objects] == ["end"]


@ON_NEWEST
async def test_who_subscribes_first_hears_of_what_is_there(
    followed: Followed, reader: Reader, writer: Writer, namespace: str
) -> None:
    await followed.create("early")
    async with following(reader, writer, namespace) as late:
        assert late.story() == [("Added", "early")]
        assert list(late.reflector.objects) == [f"{namespace}/early"]


@ON_NEWEST
async def test_who_unsubscribes_hears_no_more(followed: Followed) -> None:
    heard: list[Change[ConfigMap]] = []
    unsubscribe = followed.reflector.subscribe(heard.append)
    await followed.create("a")
    await followed.until_told_of("a")
    unsubscribe()
    await followed.create("b")
    await followed.until_told_of("b")
    assert [change.object.name for change in heard] == ["a"]


async def test_an_object_that_stops_to_match_is_deleted_and_one_that_begins_is_added(
    followed: Followed, writer: Writer, namespace: str
) -> None:
    async def label(value: str | None) -> None:
        patch = {"metadata": {"labels": {"owner": value}}}
        await writer.patch(CONFIG_MAPS, "a", patch, namespace=namespace)

    await followed.create("a")
    await label(None)
    await label(LABELS["owner"])
    await followed.create("end")
    await followed.until_told_of("end")
    expected = [("Added", "a"), ("Deleted", "a"), ("Added", "a"), ("Added", "end")]
    assert followed.story() == expected


async def test_a_quiet_stream_is_renewed_without_error_or_new_list(
    followed: Followed, proxy: FaultProxy
) -> None:
    renewals = proxy.inject(Delay(0), path=WATCH, times=None)
    await asyncio.wait_for(renewals.met(4), LIMIT)
    assert followed.reflector.last_error is None
    assert followed.reflector.stale_since is None
    assert proxy.count("GET", LIST) == 1
    await followed.create("a")
    await followed.until_told_of("a")
    assert followed.story() == [("Added", "a")]


@pytest.mark.parametrize(("expiries", "lists"), [(0, 0), (1, 1)])
async def test_what_is_known_already_is_not_asked_for_before_it_expires(
    reader: Reader,
    direct: Connection,
    namespace: str,
    proxy: FaultProxy,
    expiries: int,
    lists: int,
) -> None:
    writer = Writer(direct)
    await writer.create(CONFIG_MAPS, config_map("sooner"), namespace=namespace)
    known = await Reader(direct).list(CONFIG_MAPS, namespace=namespace, label_selector=MINE)
    await writer.create(CONFIG_MAPS, config_map("later"), namespace=namespace)
    await writer.delete(CONFIG_MAPS, "sooner", namespace=namespace)
    if expiries:
        proxy.inject(refusal(410, "Expired"), path=WATCH)
    async with following(reader, writer, namespace, known=known) as followed:
        await followed.until(lambda objects: set(objects) == {"later"})
    assert sorted(followed.story()) == [
        ("Added", "later"),
        ("Added", "sooner"),
        ("Deleted", "sooner"),
    ]
    assert proxy.count("GET", "limit=500") == lists


@ON_NEWEST
async def test_the_first_list_raises_what_goes_wrong(
    sandbox: Sandbox, namespace: str, tmp_path: Path, proxy: FaultProxy
) -> None:
    nobody = ConnectionOptions(kubeconfig=str(sandbox.issue_kubeconfig("nobody", ())))
    async with connect(nobody) as connection:
        with pytest.raises(ForbiddenError, match="not allowed to list configmaps in namespace"):
            async with Reflector(Reader(connection), CONFIG_MAPS, namespace=namespace):
                pass
    proxy.inject(Drop(), times=None)
    async with connect(ConnectionOptions(kubeconfig=str(proxy.kubeconfig))) as connection:
        with pytest.raises(UnreachableError):
            async with Reflector(Reader(connection), CONFIG_MAPS, namespace=namespace):
                pass


async def test_withdrawn_permission_ends_waiting_until_it_is_back(
    sandbox: Sandbox, writer: Writer, namespace: str, tmp_path: Path
) -> None:
    async def grant() -> None:
        await writer.create(ROLE_BINDINGS, GUEST_MAY_READ, namespace=namespace)

    await writer.create(ROLES, MAY_READ, namespace=namespace)
    await grant()
    guest = sandbox.issue_kubeconfig("guest", ())
    async with (
        FaultProxy(guest, tmp_path) as proxy,
        connect(ConnectionOptions(kubeconfig=str(proxy.kubeconfig))) as connection,
    ):
        await _until_allowed(Reader(connection), namespace, allowed=True)
        async with following(Reader(connection), writer, namespace) as followed:
            await writer.delete(ROLE_BINDINGS, "guest", namespace=namespace)
            await _until_allowed(Reader(connection), namespace, allowed=False)
            proxy.strike(Cut())
            with pytest.raises(ForbiddenError, match="not allowed to list configmaps"):
                await followed.until_told_of("a")
            assert isinstance(followed.reflector.last_error, ForbiddenError)
            await grant()
            await eventually(lambda: followed.reflector.last_error is None)
            await followed.create("a")
            await followed.until_told_of("a")
            assert followed.story() == [("Added", "a")]


@ON_NEWEST
async def test_leaves_no_task_and_no_waiter_behind(
    direct: Connection, writer: Writer, namespace: str
) -> None:
    before = asyncio.all_tasks()
    async with following(Reader(direct), writer, namespace) as followed:
        waiting = asyncio.create_task(followed.until_told_of("never"))
        await asyncio.sleep(0)
    with pytest.raises(Exception, match="configmaps are no longer followed"):
        await asyncio.wait_for(waiting, LIMIT)
    assert asyncio.all_tasks() == before


@ON_NEWEST
async def test_a_callback_that_fails_is_not_swallowed(
    reader: Reader, writer: Writer, namespace: str
) -> None:
    def fail(change: Change[ConfigMap]) -> None:
        raise ZeroDivisionError(change.object.name)

    async def follow() -> None:
        async with following(reader, writer, namespace) as followed:
            followed.reflector.subscribe(fail)
            await followed.create("a")
            with pytest.raises(ZeroDivisionError):
                await followed.until_told_of("b")

    with pytest.raises(ZeroDivisionError, match="a"):
        await follow()


@ON_NEWEST
async def test_memory_stays_flat_over_changes_and_broken_streams(
    reader: Reader, writer: Writer, namespace: str, proxy: FaultProxy
) -> None:
    manifest = config_map("a", n="0", big="x" * 50_000)
    await writer.create(CONFIG_MAPS, manifest, namespace=namespace)
    key = f"{namespace}/a"

    async def churn(reflector: Reflector[ConfigMap], turns: int) -> int:
        for turn in range(1, turns + 1):
            patch = {"data": {"n": str(turn)}}
            changed = await writer.patch(CONFIG_MAPS, "a", patch, namespace=namespace)
            if turn % 20 == 0:
                proxy.strike(Cut())
                await reflector.wait_for(lambda objects, now=changed: objects[key] == now)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        async with Reflector(reader, CONFIG_MAPS, namespace=namespace) as reflector:
            before = await churn(reflector, 60)
            grown = await churn(reflector, 200) - before
    finally:
        tracemalloc.stop()
    # 10 MB of events came by.
    assert grown < 500_000


RBAC = "rbac.authorization.k8s.io"


MAY_READ = {
    "apiVersion": f"{RBAC}/v1",
    "kind": "Role",
    "metadata": {"name": "reader"},
    "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}],
}


GUEST_MAY_READ = {
    "apiVersion": f"{RBAC}/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "guest"},
    "subjects": [{"kind": "User", "name": "guest", "apiGroup": RBAC}],
    "roleRef": {"kind": "Role", "name": "reader", "apiGroup": RBAC},
}


async def _is_allowed(reader: Reader, namespace: str) -> bool:
    try:
        await reader.list(CONFIG_MAPS, namespace=namespace)
    except ForbiddenError:
        return False
    return True


async def _until_allowed(reader: Reader, namespace: str, *, allowed: bool) -> None:
    """The authorizer learns of a binding a moment after it was written."""
    async with asyncio.timeout(LIMIT):
        while await _is_allowed(reader, namespace) is not allowed:
            await asyncio.sleep(0.05)
