"""who-can and explain beside a real API server of all modes that can be listed.

Whoever is listed is allowed by the server, whoever is not is denied; a near miss, mended, flips it.
"""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from shipkeeper.access.attributes import NODES, User
from shipkeeper.access.authorizers import from_modes
from shipkeeper.access.chain import Chain
from shipkeeper.access.explain import explain
from shipkeeper.access.observe import observe
from shipkeeper.access.who_can import Holder, Holders, who_can
from shipkeeper.access.words import Question, question
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import ForbiddenError
from shipkeeper.sandbox.sandbox import Sandbox
from tests.access.flips import answers, flips, spec_of
from tests.access.fuzz import GROUPS, NAMESPACES, RESOURCES, USERS, VERBS, Fuzz
from tests.access.parity import fuzzed_cluster
from tests.access.servers import further_server
from tests.access.ways import bound, rule
from tests.access.world import (
    LABEL,
    ask_all,
    connected,
    create,
    create_together,
    delete,
    until_allowed,
)

SAMPLED = 1000
NEAR_MISSES = 20
ASKED = (
    ("get", "secrets", "fuzz-a", False),
    ("create", "pods", "fuzz-b", False),
    ("list", "deployments", "fuzz-a", True),
    ("get", "pods/log", "fuzz-c", False),
    ("update", "leases", "kube-node-lease", False),
    ("patch", "services", "", True),
    ("watch", "nodes", "", False),
    ("delete", "configmaps", "fuzz-b", True),
    ("list", "events", "", True),
    ("get", "namespaces", "", False),
    ("get", "/healthz", "", False),
    ("get", "/metrics", "", False),
)
# Lines for no namespace count for requests over all of them alone.
BARE = ("events", "nodes", "services")


class Court(msgspec.Struct, frozen=True, kw_only=True):
    """A server of the modes Node, RBAC and ABAC, who may write, and our copy of its chain."""

    admin: Connection
    server: Connection
    chain: Chain
    fuzz: Fuzz
    kubeconfig: Callable[[str], Path]


@pytest.fixture(scope="module")
async def court(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Court]:
    place = tmp_path_factory.mktemp("court")
    fuzz = Fuzz(7)
    async with fuzzed_cluster(sandbox, fuzz) as admin:
        objects = fuzz.rbac(roles=16, bindings=30)
        for each in objects:
            each["metadata"]["labels"] = LABEL
        await create_together(admin, objects)
        policy = await observe(admin)
        lines = fuzz.abac(12) + "".join(map(_bare_line, BARE))
        modes = ("Node", "ABAC", "RBAC")
        chain = from_modes(modes, abac=lines)
        with further_server(sandbox, place / "server", _flags(place, modes, lines)) as running:
            async with connected(running.kubeconfig) as server:
                changed = msgspec.structs.replace(policy, chain=chain)
                yield Court(
                    admin=admin,
                    server=server,
                    chain=Chain(changed),
                    fuzz=fuzz,
                    kubeconfig=sandbox.issue_kubeconfig,
                )


def _bare_line(resource: str) -> str:
    head = {"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy"}
    spec = {"user": "walker", "namespace": "", "resource": resource, "apiGroup": "*"}
    return msgspec.json.encode({**head, "spec": spec}).decode() + "\n"


def _flags(place: Path, modes: tuple[str, ...], lines: str) -> list[str]:
    file = place / "policy.jsonl"
    file.write_text(lines)
    return [f"--authorization-mode={','.join(modes)}", f"--authorization-policy-file={file}"]


def _asked(chain: Chain) -> list[tuple[Question, bool, Holders]]:
    found: list[tuple[Question, bool, Holders]] = []
    for verb, resource, namespace, everywhere in ASKED:
        asked = question(verb, resource, "", namespace)
        found.append((asked, everywhere, who_can(chain, asked, everywhere=everywhere)))
    return found


async def test_whoever_is_listed_is_allowed(court: Court) -> None:
    authorizers: set[str] = set()
    count = 0
    for asked, everywhere, found in _asked(court.chain):
        for holder in found.holders:
            place = holder.namespace or (NAMESPACES[0] if everywhere else asked.namespace)
            spec = spec_of(holder.user, asked, "" if holder.without_namespace else place)
            assert await answers(court.server, spec, allowed=True), (asked, holder)
            authorizers.add(holder.authorizer)
            count += 1
    assert count > 50
    assert {"rbac", "abac", "node"} <= authorizers


async def test_a_line_without_a_namespace_is_told_as_one(court: Court) -> None:
    asked = question("list", "events", "", "")
    found = who_can(court.chain, asked, everywhere=True)
    (holder,) = [each for each in found.holders if each.name == "walker"]
    assert holder.without_namespace
    assert await answers(court.server, spec_of(holder.user, asked), allowed=True)
    for place in NAMESPACES:
        assert await answers(court.server, spec_of(holder.user, asked, place), allowed=False)
        inside = who_can(court.chain, question("list", "events", "", place))
        assert not [each for each in inside.holders if each.name == "walker"]
    # A node has no namespace anyway.
    nodes = who_can(court.chain, question("get", "nodes"), everywhere=True)
    (holder,) = [each for each in nodes.holders if each.name == "walker"]
    assert not holder.without_namespace


async def test_a_namespace_is_asked_for_in_itself(court: Court) -> None:
    """Rights to one namespace may be held in it alone, as a real request shows."""
    role, binding = bound("lodger", "fuzz-a", (rule("get", "namespaces"),))
    await create(court.admin, role, binding)
    try:
        chain = Chain(await observe(court.admin))
        asked = question("get", "namespaces", "fuzz-a")
        assert [each for each in who_can(chain, asked).holders if each.name == "way-lodger"]
        async with connected(court.kubeconfig("way-lodger")) as own:
            await until_allowed(own, "/api/v1/namespaces/fuzz-a")
            with pytest.raises(ForbiddenError):
                await own.send("GET", "/api/v1/namespaces/fuzz-b")
    finally:
        await delete(court.admin, role, binding)


async def test_whoever_is_not_is_denied(court: Court) -> None:
    sampled = 0
    listed = _asked(court.chain)
    while sampled < SAMPLED:
        for asked, everywhere, found in listed:
            place = court.fuzz.random.choice(NAMESPACES) if everywhere else asked.namespace
            strangers = [
                each for each in _people(court.fuzz, 50) if not _is_listed(found, each, place)
            ]
            specs = [spec_of(each, asked, place) for each in strangers]
            for spec, said in zip(specs, await ask_all(court.server, specs), strict=True):
                assert not said.allowed, spec
            sampled += len(strangers)


def _people(fuzz: Fuzz, count: int) -> list[User]:
    """Users, some of them unknown, each in up to two groups."""
    names = (*USERS, *(f"stranger-{number}" for number in range(5)))
    groups = (*GROUPS, "system:masters", "strangers")
    return [
        User(
            name=fuzz.random.choice(names),
            groups=tuple(fuzz.random.sample(groups, fuzz.random.randrange(3))),
        )
        for _ in range(count)
    ]


def _is_listed(found: Holders, user: User, namespace: str) -> bool:
    return any(
        _stands_for(each, user)
        for each in found.holders
        if each.namespace in ("", namespace) and not (each.without_namespace and namespace)
    )


def _stands_for(holder: Holder, user: User) -> bool:
    if holder.kind == "Group":
        return holder.name in user.groups
    group = NODES if holder.kind == "Node" else holder.group
    return holder.name == user.name and (not group or group in user.groups)


async def test_near_misses_flip_when_mended(court: Court) -> None:
    """So many sorts of mends, each told of by another question."""
    mends: set[str] = set()
    for user, asked in _questions(court.fuzz):
        found = explain(court.chain, asked.of(user))
        for miss in found.near_misses:
            if miss.mend not in mends and len(mends) < NEAR_MISSES:
                mends.add(miss.mend)
                spec = spec_of(user, asked)
                policy = court.chain.policy
                assert await flips(court.admin, court.server, policy, miss, spec), (spec, miss)
    assert len(mends) == NEAR_MISSES


def _questions(fuzz: Fuzz) -> list[tuple[User, Question]]:
    choice = fuzz.random.choice
    return [
        (user, question(choice(VERBS), choice(RESOURCES), "", choice(NAMESPACES)))
        for user in _people(fuzz, 3000)
    ]
