"""Users that are made log in with plain kubectl, as themselves, and are out once taken back."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shipkeeper.sandbox.sandbox import Sandbox
from tests.access.world import connected
from tests.cli.run import run_cli

KUBECTL = Path(sys.executable).parent / "kubectl"


async def kubectl(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [KUBECTL, f"--kubeconfig={path}", *words],
        env={**os.environ, "HOME": str(path.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


def last_user(sandbox: Sandbox, verb: str, resource: str) -> dict[str, Any]:
    """Who did this last, as the API server's audit log has it."""
    for line in reversed(sandbox.audit_log.read_bytes().splitlines()):
        event = msgspec.json.decode(line)
        if (event["verb"], event.get("objectRef", {}).get("resource")) == (verb, resource):
            return event["user"]
    raise AssertionError("nobody did")


async def test_by_certificate(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "ann.kubeconfig"
    words = ("--how=certificate", "--group=crew", "--group=night", f"--write={path}")
    done = await run_cli(sandbox, "users", "create", "ann", *words)
    assert done.returncode == 0, done.stderr
    assert "nobody can take a certificate back" in done.stderr
    assert path.stat().st_mode & 0o777 == 0o600
    # Known and without rights: nobody has bound anything to the user.
    done = await kubectl(path, "get", "limitranges")
    assert 'User "ann" cannot list' in done.stderr
    user = last_user(sandbox, "list", "limitranges")
    assert user["username"] == "ann"
    assert set(user["groups"]) == {"crew", "night", "system:authenticated"}


async def test_by_service_account(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "robot.kubeconfig"
    words = ("--how=serviceaccount", "--expires=1h", f"--write={path}")
    done = await run_cli(sandbox, "users", "create", "robot", *words)
    assert done.returncode == 0, done.stderr
    name = "system:serviceaccount:default:robot"
    done = await kubectl(path, "get", "podtemplates")
    assert f'User "{name}" cannot list' in done.stderr
    assert last_user(sandbox, "list", "podtemplates")["username"] == name
    token = msgspec.yaml.decode(path.read_bytes())["users"][0]["user"]["token"]
    # Without the Secret that it is bound to the token is none.
    async with connected(sandbox.kubeconfig) as connection:
        space = "/api/v1/namespaces/default"
        query = {"labelSelector": "shipkeeper.dev/user=robot"}
        found = msgspec.json.decode(await connection.send("GET", f"{space}/secrets", query=query))
        for each in found["items"]:
            assert token not in str(each)
            await connection.send("DELETE", f"{space}/secrets/{each['metadata']['name']}")
        async with asyncio.timeout(400):
            while "cannot list" in (await kubectl(path, "get", "podtemplates")).stderr:
                await asyncio.sleep(0.5)
        done = await kubectl(path, "get", "podtemplates")
        assert "Unauthorized" in done.stderr or "logged in" in done.stderr
        await connection.send("DELETE", f"{space}/serviceaccounts/robot")


@pytest.mark.parametrize("how", ["certificate", "serviceaccount"])
@pytest.mark.parametrize("dry_run", ["client", "server"])
async def test_a_dry_run_makes_nothing(
    newest: Sandbox, tmp_path: Path, how: str, dry_run: str
) -> None:
    path = tmp_path / "x.kubeconfig"
    words = (f"--how={how}", f"--dry-run={dry_run}", f"--write={path}")
    done = await run_cli(newest, "users", "create", "nobody", *words)
    assert done.returncode == 0, done.stderr
    assert not path.exists()
    async with connected(newest.kubeconfig) as connection:
        for place in (
            "/api/v1/serviceaccounts",
            "/api/v1/secrets",
            "/apis/certificates.k8s.io/v1/certificatesigningrequests",
        ):
            query = {"labelSelector": "shipkeeper.dev/user=nobody"}
            answer = await connection.send("GET", place, query=query)
            assert not msgspec.json.decode(answer)["items"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("system:admin", "--how=certificate"), "Kubernetes' own"),
        (("ann", "--how=certificate", "--group=system:masters"), "Kubernetes' own"),
        (("ann", "--how=serviceaccount", "--group=crew"), "cannot be in groups"),
        (("ann", "--how=certificate", "--expires=1m"), "ten minutes"),
        (("x" * 65, "--how=certificate"), "cannot hold these names"),
    ],
)
async def test_what_should_not_be(newest: Sandbox, words: tuple[str, ...], says: str) -> None:
    done = await run_cli(newest, "users", "create", *words, "--write=/dev/shm/never.kubeconfig")
    assert done.returncode == 2
    assert says in done.stderr


async def test_no_kubeconfig_is_overwritten(newest: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "there"
    path.write_text("mine")
    done = await run_cli(newest, "users", "create", "ann", "--how=certificate", f"--write={path}")
    assert done.returncode == 2
    assert path.read_text() == "mine"
