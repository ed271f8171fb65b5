"""docs/operator.md: its examples are taken, its commands exist, its tables are complete."""

import re
import shlex
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from shipkeeper.backup.cronjob import rules
from shipkeeper.cli.app import app
from shipkeeper.engine.tenure import NAME, NAMESPACE
from shipkeeper.kube.writer import Writer
from shipkeeper.operator import grants
from shipkeeper.operator.api.kinds import KINDS
from shipkeeper.operator.backups import backup_job, restore_job
from shipkeeper.operator.backups.grants import OF_RESTORE_JOBS, OWN_EXTRAS
from shipkeeper.operator.grant import Grant
from shipkeeper.operator.run import LEASE
from tests.operator.harbour import Harbour
from tests.operator.test_chart import exposed

PAGE = Path(__file__).parents[2] / "docs" / "operator.md"
TEXT = PAGE.read_text()
BLOCKS = [
    textwrap.dedent(found)
    for found in re.findall(r"(?:^    .+\n|^\n(?=    ))+", TEXT, re.MULTILINE)
]
EXAMPLES = [yaml.safe_load(block) for block in BLOCKS if block.lstrip().startswith("apiVersion")]
LINES = "\n".join(BLOCKS).splitlines()
COMMANDS = [line.partition("|")[0] for line in LINES if line.startswith("shipkeeper ")]


def test_there_is_an_example_of_each_kind() -> None:
    assert {each["kind"] for each in EXAMPLES} == {kind.kind for kind in KINDS}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda each: each["kind"])
async def test_examples_are_taken(harbour: Harbour, example: dict[str, Any]) -> None:
    kind = next(each for each in KINDS if each.kind == example["kind"])
    await Writer(harbour.connection, dry_run=True).create(kind.resource, example)


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_can_be_given(line: str) -> None:
    _, *arguments = shlex.split(line)
    unused = app.parse_args(arguments, print_error=False, exit_on_error=False)[2]
    assert not unused


def test_every_metric_is_told_of() -> None:
    served = {line.split()[2] for line in exposed().splitlines() if line.startswith("# TYPE")}
    assert served == set(re.findall(r"`(shipkeeper_\w+)`", TEXT))


def test_every_permission_is_told_of() -> None:
    assert permissions_table() in TEXT, f"write this into {PAGE.name}:\n{permissions_table()}"


def permissions_table() -> str:
    """What the operator may do, where, and for what."""
    plurals = tuple(kind.plural for kind in KINDS)
    sections: list[tuple[str, tuple[Grant, ...]]] = [
        ("everywhere", grants.everywhere(plurals)),
        ("its own namespace", grants.own_namespace(LEASE)),
        (NAMESPACE, grants.cluster_lock(NAME)),
        ("default", grants.events()),
        *((f"`--allow {name}`", found) for name, found in grants.EXTRAS.items()),
        *((f"`--allow {name}`, its own namespace", found) for name, found in OWN_EXTRAS.items()),
        ("`--host-pods NAMESPACE`", grants.HOST_PODS),
        (f"everywhere, Jobs as `{backup_job.ACCOUNT}`", _of_backup_jobs()),
        (f"everywhere, Jobs as `{restore_job.ACCOUNT}`", OF_RESTORE_JOBS),
    ]
    lines = ["| where | what | for what |", "|---|---|---|"]
    lines += [
        f"| {where} | {_words(each)} | {each.why} |" for where, found in sections for each in found
    ]
    return "\n".join(lines)


def _of_backup_jobs() -> tuple[Grant, ...]:
    """What a Job may that makes a backup, as the manifests of `backup schedule` have it."""
    why = "make a backup, and read files of volumes through pods on their nodes"
    return tuple(
        Grant(
            group=group,
            resources=tuple(each["resources"]),
            verbs=tuple(each["verbs"]),
            names=tuple(each.get("resourceNames", ())),
            why=why,
        )
        for each in rules(saves_volumes=True)
        for group in each["apiGroups"]
    )


def _words(grant: Grant) -> str:
    group = f".{grant.group}" if grant.group else ""
    what = ", ".join(f"{each}{group}" for each in grant.resources)
    if grant.urls:
        what = ", ".join(grant.urls)
    named = f" ({', '.join(grant.names)})" if grant.names else ""
    return f"{', '.join(grant.verbs)} {what}{named}"
