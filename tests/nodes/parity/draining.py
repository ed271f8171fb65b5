"""Draining generated clusters with kubectl and with shipkeeper, and what they say of it."""

import asyncio
import os
import re
import sys
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from shipkeeper.engine.journal import Journal
from shipkeeper.engine.progress import quiet
from shipkeeper.engine.verdict import blocking
from shipkeeper.kube.connection import Connection
from shipkeeper.nodes.explain import explain_drain, refusals
from shipkeeper.nodes.options import DrainOptions
from shipkeeper.nodes.procedure import execute, prepare
from tests.nodes.parity.staging import Twin

KUBECTL = str(Path(sys.executable).parent / "kubectl")
_NODES_AT_ONCE = 4
_KUBECTLS_AT_ONCE = 12
_WITHIN_SECONDS = 300.0
_POD = r"[\w.-]+/[\w.-]+"
_REFUSED = re.compile(rf"cannot delete (.+?): ({_POD}(?:, {_POD})*)")
_DRAINED = re.compile(r"^node/(\S+) drained$", re.MULTILINE)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool said: nodes that it drained, and pods that it refused, each with why.

    `refused` are those that kubectl's filters refuse, in its words; `foreseen` those that no
    budget would let go, by the reason of the verdict.
    """

    drained: frozenset[str]
    refused: dict[str, str]
    foreseen: dict[str, str]


async def drain_with_kubectl(kubeconfig: Path, twins: list[Twin]) -> Answer:
    """Drain every twin's node with kubectl, a few nodes at a time."""
    slots = asyncio.Semaphore(_KUBECTLS_AT_ONCE)
    commands = [
        [KUBECTL, "drain", *(twin.place for twin in some), *kubectl_flags(options)]
        for options, group in by_options(twins)
        for some in (group[at : at + _NODES_AT_ONCE] for at in range(0, len(group), _NODES_AT_ONCE))
    ]
    async with asyncio.TaskGroup() as tasks:
        runs = [tasks.create_task(_run(command, kubeconfig, slots)) for command in commands]
    said = "".join(run.result() for run in runs)
    return Answer(drained=frozenset(_DRAINED.findall(said)), refused=_refused(said), foreseen={})


def _refused(said: str) -> dict[str, str]:
    """Pods with the reason in `cannot delete <reason>: ns/a, ns/b`."""
    return {key: why for why, keys in _REFUSED.findall(said) for key in keys.split(", ")}


async def _run(command: list[str], kubeconfig: Path, slots: asyncio.Semaphore) -> str:
    """Run a command to its end and return everything it said."""
    async with slots:
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**os.environ, "KUBECONFIG": str(kubeconfig)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(_WITHIN_SECONDS):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return said.decode()


def kubectl_flags(options: DrainOptions) -> list[str]:
    """The flags that ask kubectl for the same."""
    return [
        f"--force={str(options.force).lower()}",
        f"--ignore-daemonsets={str(options.ignore_daemonsets).lower()}",
        f"--delete-emptydir-data={str(options.delete_emptydir_data).lower()}",
        f"--disable-eviction={str(options.disable_eviction).lower()}",
        f"--grace-period={options.grace_period}",
        f"--pod-selector={options.pod_selector}",
        f"--skip-wait-for-delete-timeout={options.skip_wait_for_delete_timeout}",
        f"--timeout={options.timeout:.0f}s",
        # Without it kubectl's client sits out ten times a Retry-After of 10 s, past its timeout.
        f"--request-timeout={options.timeout:.0f}s",
    ]


async def drain_with_shipkeeper(
    connection: Connection, journal: Journal, twins: list[Twin]
) -> Answer:
    """Drain every twin's node, those with the same options in one run."""
    drained: set[str] = set()
    refused: dict[str, str] = {}
    foreseen: dict[str, str] = {}
    for options, group in by_options(twins):
        nodes = tuple(twin.place for twin in group)
        state, plan = await prepare(connection, nodes, "", options)
        explanations = explain_drain(state, options, datetime.now(UTC))
        refused |= _refused("\n".join(refusals(explanations)))
        items = (item for each in explanations for item in each.refused)
        foreseen |= {i.key: blocking(i.verdicts)[0].reason for i in items if i.key not in refused}
        result = await execute(connection, journal, plan, quiet)
        done = (plan.step(each.step) for each in result.steps if each.state == "Done")
        drained |= {step.target.removeprefix("node/") for step in done if step.action == "drain"}
    return Answer(drained=frozenset(drained), refused=refused, foreseen=foreseen)


def by_options(twins: list[Twin]) -> list[tuple[DrainOptions, list[Twin]]]:
    """The twins that are drained with the same options."""
    groups: defaultdict[DrainOptions, list[Twin]] = defaultdict(list)
    for twin in twins:
        groups[twin.cluster.options].append(twin)
    return list(groups.items())
