"""The evaluator beside real API servers: the same random policies, the same random questions."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from shipkeeper.access.attributes import Attributes
from shipkeeper.access.authorizers import ChainConfig, from_flags
from shipkeeper.access.chain import Chain
from shipkeeper.access.kinds import RBAC_KINDS
from shipkeeper.access.observe import observe
from shipkeeper.access.review import InvalidReviewError, read_review
from shipkeeper.access.webhook import Ask, Reply
from shipkeeper.kube.connection import Connection
from shipkeeper.model.version import Version
from shipkeeper.sandbox.sandbox import Sandbox
from tests.access.aim import aimed
from tests.access.fuzz import NAMESPACES, Fuzz, webhook_reply
from tests.access.graph import ended, graph_objects, random_objects
from tests.access.robber import MERGE
from tests.access.servers import further_server
from tests.access.world import (
    LABEL,
    Status,
    ask,
    ask_all,
    asked_webhook,
    connected,
    create,
    create_together,
    delete,
    patiently,
    webhook_kubeconfig,
)

# From this minor on chains come from a file, and know conditions.
CONFIGURABLE = 32
# How many questions are about what the policy says.
_AIMED_SHARE = 0.5
# How many servers' webhooks are down.
_DOWN_SHARE = 0.2
_DOWN = Reply(error="nobody listens")
# Nothing listens there: only root could.
_NOWHERE = "http://127.0.0.1:1/"
_OVER = {"status": {"phase": "Succeeded"}}
# A server's caches may lag behind what was written; an answer that stays different is a mismatch.
_LAG_SECONDS = 10.0


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """A question to which both answer differently."""

    chain: str
    spec: dict[str, Any]
    server: Status
    ours: Status


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A running API server, and its chain."""

    label: str
    chain: ChainConfig
    connection: Connection
    reply: Ask = webhook_reply
    """What its webhooks say."""

    @property
    def webhooks(self) -> dict[str, Ask]:
        """Whom our chain asks instead."""
        return {each.name: self.reply for each in self.chain.authorizers}


class Tally(msgspec.Struct):
    """What came of it."""

    reviews: int = 0
    allowed: int = 0
    denied: int = 0
    errors: int = 0
    invalid: int = 0
    mismatches: list[Mismatch] = []
    decided: Counter[str] = msgspec.field(default_factory=Counter[str])
    """How often each sort of authorizer allowed or denied; "nobody" is that none did."""
    failed: Counter[str] = msgspec.field(default_factory=Counter[str])
    """How often an answer came with an error, by what was wrong."""

    def add(self, other: "Tally") -> None:
        """Count what another one counted, too."""
        self.reviews += other.reviews
        self.allowed += other.allowed
        self.denied += other.denied
        self.errors += other.errors
        self.invalid += other.invalid
        self.mismatches += other.mismatches
        self.decided += other.decided
        self.failed += other.failed


def our_status(chain: Chain, spec: dict[str, Any]) -> tuple[Status, str]:
    """The evaluator's answer in the form of a review's, and the sort of authorizer it is by."""
    try:
        asked = read_review(spec, chain.policy.version.minor)
    except InvalidReviewError:
        return Status(invalid=True), "nobody: the review is none"
    answer = chain.answer(asked.attributes)
    error = "; ".join(each for each in (answer.error, asked.error) if each)
    status = Status(
        allowed=answer.allowed,
        denied=answer.denied,
        reason=answer.reason,
        evaluation_error=error,
    )
    types = {each.name: each.type for each in chain.policy.chain.authorizers}
    return status, types.get(answer.authorizer, answer.authorizer or "nobody")


def faults(status: Status) -> Iterator[str]:
    """What an answer of ours tells of as wrong."""
    for sort, words in (
        ("selector", "due to parse error"),
        ("matchCondition", "resulted in error"),
        ("allows and denies", "both allow and deny"),
        ("webhook answers 400", "answered 400"),
        ("webhook is down", _DOWN.error),
    ):
        if words in status.evaluation_error:
            yield sort
    if "not found" in status.reason:
        yield "missing role"


def agree(server: Status, ours: Status) -> bool:
    """Whether both decide alike; the words of an error, and of an Allow, may differ."""
    same = (server.allowed, server.denied, server.invalid, bool(server.evaluation_error)) == (
        ours.allowed,
        ours.denied,
        ours.invalid,
        bool(ours.evaluation_error),
    )
    if not same or server.allowed or server.invalid:
        return same
    # The order in which a server comes upon bindings to missing roles is not defined.
    return _words(server.reason) == _words(ours.reason)


def _words(reason: str) -> list[str]:
    return sorted(re.split(r"[\s,\[\]]+", reason))


@asynccontextmanager
async def fuzzed_cluster(sandbox: Sandbox, fuzz: Fuzz) -> AsyncGenerator[Connection]:
    """A cluster with the objects that the Node authorizer looks at; they are gone afterwards."""
    has_claims = Version.parse(sandbox.version).minor >= CONFIGURABLE
    objects = graph_objects(has_claims=has_claims)
    known = {_key(each) for each in objects}
    further = random_objects(fuzz.random, has_claims=has_claims)
    objects += [each for each in further if _key(each) not in known]
    spaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES
    ]
    async with connected(sandbox.kubeconfig) as connection:
        try:
            await create(connection, *spaces, *objects)
            for path in ended(objects):
                await connection.send("PATCH", path, body=_OVER, content_type=MERGE)
            yield connection
        finally:
            await clear_rbac(connection)
            await delete(connection, *objects)


def _key(each: dict[str, Any]) -> tuple[str, str, str]:
    metadata = each["metadata"]
    return each["kind"], metadata.get("namespace", ""), metadata["name"]


async def clear_rbac(connection: Connection) -> None:
    """Delete the roles and bindings of the round before."""
    selector = ",".join(f"{key}={value}" for key, value in LABEL.items())
    for kind in RBAC_KINDS:
        where = [f"/namespaces/{each}" for each in NAMESPACES] if kind.namespaced else [""]
        for each in where:
            path = kind.path.replace(f"/{kind.plural}", f"{each}/{kind.plural}")
            query = {"labelSelector": selector}
            await patiently(partial(connection.send, "DELETE", path, query=query))


@asynccontextmanager
async def servers(
    sandbox: Sandbox, directory: Path, fuzz: Fuzz, count: int
) -> AsyncGenerator[list[Server]]:
    """API servers of random chains, policy files and conditions."""
    minor = Version.parse(sandbox.version).minor
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(asked_webhook(webhook_reply, minor))
        found: list[Server] = []
        for number in range(count):
            place = directory / f"server-{number}"
            place.mkdir()
            is_down = fuzz.random.random() < _DOWN_SHARE
            flags = _flags(place, fuzz, _NOWHERE if is_down else url, minor)
            files = {str(path): path.read_text() for path in place.iterdir()}
            chain = from_flags(dict(flag[2:].split("=", 1) for flag in flags), files)
            server = await asyncio.to_thread(
                stack.enter_context, further_server(sandbox, place, flags)
            )
            connection = await stack.enter_async_context(connected(server.kubeconfig))
            label = ",".join(chain.types)
            reply = _silent if is_down else webhook_reply
            found.append(Server(label=label, chain=chain, connection=connection, reply=reply))
        yield found


def _silent(asked: Attributes) -> Reply:
    del asked
    return _DOWN


def _flags(place: Path, fuzz: Fuzz, url: str, minor: int) -> list[str]:
    kubeconfig = webhook_kubeconfig(place / "webhook.kubeconfig", url)
    (place / "policy.jsonl").write_text(fuzz.abac())
    policy = f"--authorization-policy-file={place / 'policy.jsonl'}"
    if minor >= CONFIGURABLE:
        (place / "authorization.yaml").write_text(fuzz.configuration(str(kubeconfig)))
        return [f"--authorization-config={place / 'authorization.yaml'}", policy]
    modes = fuzz.modes()
    return [
        f"--authorization-mode={','.join(modes)}",
        policy,
        f"--authorization-webhook-config-file={kubeconfig}",
        "--authorization-webhook-version=v1",
    ]


async def compare(
    connection: Connection,
    fuzz: Fuzz,
    running: list[Server],
    *,
    rounds: int,
    questions: int,
    say: Callable[[str], None] = lambda _: None,
) -> Tally:
    """So many rounds of a new policy and so many questions to each server."""
    tally = Tally()
    for number in range(rounds):
        await clear_rbac(connection)
        objects = fuzz.rbac()
        for each in objects:
            each["metadata"]["labels"] = LABEL
        await create_together(connection, objects)
        policy = await patiently(lambda: observe(connection))
        for server in running:
            chain = Chain(msgspec.structs.replace(policy, chain=server.chain), server.webhooks)
            specs = [_question(fuzz, objects, server) for _ in range(questions)]
            said = await ask_all(server.connection, specs)
            for spec, status in zip(specs, said, strict=True):
                await _judge(tally, server, chain, spec, status)
        say(f"round {number + 1}: {tally.reviews} reviews, {len(tally.mismatches)} mismatches")
    return tally


def _question(fuzz: Fuzz, objects: list[dict[str, Any]], server: Server) -> dict[str, Any]:
    if fuzz.random.random() < _AIMED_SHARE:
        return aimed(fuzz.random, objects, server.chain.abac or "")
    return fuzz.question()


async def _judge(
    tally: Tally, server: Server, chain: Chain, spec: dict[str, Any], status: Status
) -> None:
    ours, by = our_status(chain, spec)
    began = time.monotonic()
    while not agree(status, ours) and time.monotonic() - began < _LAG_SECONDS:
        if len(tally.mismatches) > 5:
            break
        await asyncio.sleep(0.1)
        status = await ask(server.connection, spec)
    tally.reviews += 1
    tally.allowed += status.allowed
    tally.denied += status.denied
    tally.invalid += status.invalid
    tally.errors += bool(status.evaluation_error)
    tally.decided[by] += 1
    tally.failed.update(faults(ours))
    if not agree(status, ours):
        tally.mismatches.append(Mismatch(chain=server.label, spec=spec, server=status, ours=ours))
