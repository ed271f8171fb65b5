"""What was given to users is taken back, and what cannot be is said."""

import asyncio
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipkeeper.kube.reader import Reader
from shipkeeper.kube.writer import Writer
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.users.revoke import plan_revocation, revoke
from tests.access.world import connected
from tests.cli.run import run_cli
from tests.users.test_create import kubectl

SPACE = "/api/v1/namespaces/default"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
ROBOT = ("robot-two", "--how=serviceaccount")


async def test_a_token_ends_with_its_secret(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "robot.kubeconfig"
    done = await run_cli(sandbox, "users", "create", *ROBOT, f"--write={path}")
    assert done.returncode == 0, done.stderr
    for dry in ("client", "server"):
        done = await run_cli(sandbox, "users", "revoke", *ROBOT, "--account", f"--dry-run={dry}")
        assert done.returncode == 0, done.stderr
        assert "delete Secret default/robot-two-login-" in done.stderr
        assert "delete ServiceAccount default/robot-two" in done.stderr
    assert "cannot list" in (await kubectl(path, "get", "podtemplates")).stderr

    assert (await run_cli(sandbox, "users", "revoke", *ROBOT)).returncode == 0
    async with asyncio.timeout(400):
        while "cannot list" in (await kubectl(path, "get", "podtemplates")).stderr:
            await asyncio.sleep(0.5)
    again = await run_cli(sandbox, "users", "revoke", *ROBOT)
    assert "nothing of robot-two" in again.stderr
    assert (await run_cli(sandbox, "users", "revoke", *ROBOT, "--account")).returncode == 0
    missing = await run_cli(sandbox, "users", "revoke", *ROBOT)
    assert missing.returncode == 2
    assert "not found" in missing.stderr


async def test_secrets_of_others_stay_whatever_they_are_called(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    robot, near = "near", "near-login-far"
    theirs = "near-login-0123abcd"
    async with connected(sandbox.kubeconfig) as connection:
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": theirs}}
        await connection.send("POST", f"{SPACE}/secrets", body=secret)
        try:
            for name in (robot, near):
                words = (name, "--how=serviceaccount", f"--write={tmp_path / name}")
                done = await run_cli(sandbox, "users", "create", *words)
                assert done.returncode == 0, done.stderr
            done = await run_cli(sandbox, "users", "revoke", robot, "--how=serviceaccount")
            assert done.returncode == 0, done.stderr
            found = msgspec.json.decode(await connection.send("GET", f"{SPACE}/secrets"))
            left = [each["metadata"]["name"] for each in found["items"]]
            assert len([each for each in left if each.startswith(f"{near}-login-")]) == 1
            assert [each for each in left if re.fullmatch("near-login-[0-9a-f]{8}", each)] == [
                theirs
            ]
        finally:
            await connection.send("DELETE", f"{SPACE}/secrets/{theirs}")


async def test_what_others_take_back_meanwhile_stops_nothing(sandbox: Sandbox) -> None:
    place = f"{RBAC}/namespaces/default/rolebindings"
    async with connected(sandbox.kubeconfig) as connection:
        for name in ("revoke-a", "revoke-b"):
            made = binding("RoleBinding", "zoe")
            await connection.send("POST", place, body={**made, "metadata": {"name": name}})
        writer = Writer(connection)
        planned = await plan_revocation("zoe", "certificate", "", Reader(connection), account=False)
        assert len(planned.bindings) == 2
        await connection.send("DELETE", f"{place}/revoke-a")
        await revoke(planned, writer)
        found = msgspec.json.decode(await connection.send("GET", f"{place}/revoke-b"))
        assert not found.get("subjects")
        await connection.send("DELETE", f"{place}/revoke-b")


def binding(kind: str, *users: str) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": "revoke-test"},
        "roleRef": {"apiGroup": RBAC.split("/")[2], "kind": "ClusterRole", "name": "view"},
        "subjects": [
            {"apiGroup": RBAC.split("/")[2], "kind": "User", "name": name} for name in users
        ],
    }


async def test_the_user_of_a_certificate_leaves_all_bindings(sandbox: Sandbox) -> None:
    places = {
        f"{RBAC}/clusterrolebindings": binding("ClusterRoleBinding", "bea"),
        f"{RBAC}/namespaces/default/rolebindings": binding("RoleBinding", "ann", "bea"),
    }
    async with connected(sandbox.kubeconfig) as connection:

        async def users(place: str) -> list[str]:
            found = msgspec.json.decode(await connection.send("GET", f"{place}/revoke-test"))
            return [each["name"] for each in found.get("subjects") or ()]

        for place, manifest in places.items():
            await connection.send("POST", place, body=manifest)
        try:
            words = ("users", "revoke", "bea", "--how=certificate")
            dry = await run_cli(sandbox, *words, "--dry-run=server")
            assert "take User bea out of rolebinding/default/revoke-test" in dry.stderr
            assert "take User bea out of clusterrolebinding/revoke-test" in dry.stderr
            assert [await users(place) for place in places] == [["bea"], ["ann", "bea"]]
            done = await run_cli(sandbox, *words)
            assert done.returncode == 3
            assert "logs in until it ends" in done.stderr
            assert [await users(place) for place in places] == [[], ["ann"]]
        finally:
            for place in places:
                await connection.send("DELETE", f"{place}/revoke-test")


@pytest.mark.parametrize("words", [("bea", "--how=certificate", "--account")])
async def test_what_makes_no_sense(newest: Sandbox, words: tuple[str, ...]) -> None:
    assert (await run_cli(newest, "users", "revoke", *words)).returncode == 2
