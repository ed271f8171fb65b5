"""`shipkeeper access` over a cluster and a backup of it: the same answers, and nothing written."""

import json
from pathlib import Path

from shipkeeper.sandbox.sandbox import Sandbox
from tests.cli.user import User

# Asking who one is has the form of an object; nothing is kept of it.
_QUESTION = "create /apis/authentication.k8s.io/v1/selfsubjectreviews"
_KINDS = ("clusterroles", "clusterrolebindings", "roles", "rolebindings")


async def test_over_a_cluster_and_a_backup(newest: Sandbox, tmp_path: Path) -> None:
    user = User(newest, tmp_path)
    repository = ("--repo", str(tmp_path / "repo"))
    assert (await user.run("backup", "init", *repository)).returncode == 0
    kinds = [f"--kind={kind}" for kind in _KINDS]
    taken = await user.run("backup", "create", *repository, *kinds)
    assert taken.returncode == 0, taken.stderr
    before = user.writes()

    answers: list[object] = []
    for source in ((), ("--backup", "latest", *repository)):
        words = ("access", "who-can", "get", "secrets", "-A", "-o", "json")
        done = await user.run(*words, *source)
        assert done.returncode == 0, done.stderr
        holders = json.loads(done.stdout)["holders"]
        answers.append([each for each in holders if each["authorizer"] == "rbac"])
    assert answers[0] == answers[1]
    assert answers[0]

    assert (await user.run("access", "can-i", "delete", "nodes")).stdout == "yes\n"
    same = await user.run("access", "diff", "backup:latest", *repository)
    assert same.returncode == 0, same.stdout
    audited = await user.run("access", "audit", "-o", "json", "--fail-on", "never")
    assert audited.returncode == 0, audited.stderr
    assert [each for each in user.writes() if each not in before] == [_QUESTION]
