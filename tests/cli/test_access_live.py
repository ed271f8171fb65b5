"""`shipkeeper access` over a cluster, a backup and a snapshot of it: the same answers, all read."""

import json
from pathlib import Path
from typing import Any

import pytest

from shipkeeper.sandbox.sandbox import Sandbox
from tests.access.ways import bound, rule
from tests.access.world import connected, create, delete, until_allowed
from tests.cli.user import User
from tests.etcd.test_objects import members_of
from tests.etcd.world import run

# Asking who one is has the form of an object; nothing is kept of it.
_QUESTION = "create /apis/authentication.k8s.io/v1/selfsubjectreviews"
_KINDS = ("clusterroles", "clusterrolebindings", "roles", "rolebindings")


async def test_over_a_cluster_a_backup_and_a_snapshot(sandbox: Sandbox, tmp_path: Path) -> None:
    user = User(sandbox, tmp_path)
    repository = ("--repo", str(tmp_path / "repo"))
    assert (await user.run("backup", "init", *repository)).returncode == 0
    kinds = [f"--kind={kind}" for kind in _KINDS]
    taken = await user.run("backup", "create", *repository, *kinds)
    assert taken.returncode == 0, taken.stderr
    file = str(tmp_path / "etcd.db")
    saved = run("save", file, *members_of(sandbox))
    assert saved.returncode == 0, saved.stderr
    kept = await user.run("etcd", "save", "--into", repository[1], *members_of(sandbox))
    assert kept.returncode == 0, kept.stderr
    before = user.writes()

    backup, snapshot = ("--backup", "latest", *repository), ("--snapshot", file)
    answers: list[object] = []
    for source in ((), backup, snapshot):
        words = ("access", "who-can", "get", "secrets", "-A", "-o", "json")
        done = await user.run(*words, *source)
        assert done.returncode == 0, done.stderr
        holders = json.loads(done.stdout)["holders"]
        answers.append([each for each in holders if each["authorizer"] == "rbac"])
    assert answers[0]
    assert _sorted(answers[0]) == _sorted(answers[1]) == _sorted(answers[2])

    masters = ("--as", "boss", "--as-group", "system:masters")
    of_repository = ("--snapshot", "repo:latest", *repository)
    for source in (backup, snapshot, of_repository):
        asked = await user.run("access", "can-i", "delete", "nodes", *masters, *source)
        assert asked.stdout == "yes\n", asked.stderr
    for new in ("backup:latest", f"snapshot:{file}"):
        same = await user.run("access", "diff", new, *repository)
        assert same.returncode == 0, same.stdout
    audits = [await _audit(user, *source) for source in ((), backup, snapshot)]
    live, of_backup, of_snapshot = audits
    assert of_snapshot == live
    # No pod was backed up: what they would have told is no pass.
    assert "cis-5.2.2" not in {each["rule"] for each in of_backup["passed"]}
    assert {each["rule"] for each in of_backup["unchecked"]} >= {"cis-5.2.2", "unread-pod"}
    assert not [each for each in user.writes() if each not in before]


async def test_oneself_is_asked_of_the_cluster(newest: Sandbox, tmp_path: Path) -> None:
    user = User(newest, tmp_path)
    before = user.writes()
    assert (await user.run("access", "can-i", "delete", "nodes")).stdout == "yes\n"
    assert [each for each in user.writes() if each not in before] == [_QUESTION]


@pytest.mark.parametrize(
    "command", [("access", "audit"), ("upgrade", "check", "--to=v1.38")], ids=" ".join
)
async def test_who_may_read_little_is_given_no_pass(
    newest: Sandbox, tmp_path: Path, command: tuple[str, ...]
) -> None:
    user = User(newest, tmp_path)
    command = (*command, "--kubeconfig", str(newest.issue_kubeconfig("way-little")))
    objects = bound("little", "", (rule("get list", "nodes pods"),))
    async with connected(newest.kubeconfig) as admin, connected(Path(command[-1])) as own:
        await create(admin, *objects)
        try:
            await until_allowed(own, "/api/v1/nodes")
            await _is_given_no_pass(user, command)
        finally:
            await delete(admin, *objects)


async def _is_given_no_pass(user: User, command: tuple[str, ...]) -> None:
    done = await user.run(*command, "-o", "json")
    assert done.returncode == 3, done.stderr
    assert "could not be looked at: " in done.stderr
    assert "hint: " in done.stderr
    gaps = [each for each in json.loads(done.stdout)["unchecked"] if each.get("isGap")]
    assert done.stderr.startswith(f"error: {len(gaps)} ")
    assert (await user.run(*command, "--fail-on", "never")).returncode == 0


async def test_what_there_is_none_of_is_no_gap(newest: Sandbox, tmp_path: Path) -> None:
    found = await _audit(User(newest, tmp_path))
    assert not [each for each in found["unchecked"] if each.get("isGap")]


def _sorted(holders: Any) -> list[Any]:
    return sorted(holders, key=json.dumps)


async def _audit(user: User, *source: str) -> dict[str, Any]:
    done = await user.run("access", "audit", "-o", "json", "--fail-on", "never", *source)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    return {key: found[key] for key in ("findings", "unchecked", "passed")}
