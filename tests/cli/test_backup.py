"""The backup commands as a user meets them: words, dry runs, bad input, exit codes."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shipkeeper.kube.connection import connect
from shipkeeper.sandbox.sandbox import Sandbox
from tests.backup.cluster import Cluster, config_map, fresh, manifest
from tests.backup.rich import definition, widget
from tests.cli.test_bad_input import assert_refused, grant
from tests.cli.user import User
from tests.nodes.world import World, options_of


@pytest.fixture
def user(newest: Sandbox, tmp_path: Path) -> User:
    """An administrator."""
    return User(newest, tmp_path)


@pytest.fixture
async def cluster(newest: Sandbox) -> AsyncIterator[Cluster]:
    """The newest control plane."""
    async with connect(options_of(newest)) as connection:
        yield Cluster(connection)


async def made(user: User, repository: Path) -> tuple[str, ...]:
    """A repository of one's own; the flags that name it."""
    flags = ("--repo", str(repository))
    done = await user.run("backup", "init", *flags)
    assert done.returncode == 0, done.stderr
    return flags


async def test_from_the_first_backup_to_the_restore(
    user: User, cluster: Cluster, tmp_path: Path
) -> None:
    name = fresh("cli")
    mine = config_map("mine", name, x="1")
    secret = manifest("v1 Secret", "s", name, stringData={"pw": "hunter2"})
    await cluster.create(manifest("v1 Namespace", name), mine, secret)
    flags = await made(user, tmp_path / "repo")

    done = await user.run("backup", "create", *flags, "-o", "json")
    assert done.returncode == 0, done.stderr
    backup = json.loads(done.stdout)
    assert backup["state"] == "Complete"
    listed = await user.run("backup", "list", *flags, "-o", "name")
    assert listed.stdout == f"backup/{backup['name']}\n"

    got = await user.run("backup", "get", "cm", "mine", "-n", name, *flags, "-o", "json")
    assert json.loads(got.stdout) == await cluster.get(mine)
    shown = await user.run("backup", "get", "secrets", "-n", name, *flags)
    assert "hunter2" not in shown.stdout
    absent = await user.run("backup", "get", "cm", "none", "-n", name, *flags)
    assert_refused(absent, 1, "has no cm none")

    same = await user.run("backup", "diff", *flags, "-n", name)
    assert (same.returncode, same.stdout) == (0, "")
    await cluster.delete(mine, secret)
    differs = await user.run("backup", "diff", *flags, "-n", name)
    assert differs.returncode == 4
    assert re.search(r"^- Removed +configmaps +\S+ +mine", differs.stdout, re.MULTILINE)

    done = await user.run("backup", "restore", *flags, "-n", name)
    assert done.returncode == 0, done.stderr
    assert "Succeeded" in done.stdout
    assert (await user.run("backup", "diff", *flags, "-n", name)).returncode == 0
    again = await user.run("backup", "restore", *flags, "-n", name)
    assert (again.returncode, again.stdout) == (0, "")
    checked = await user.run("backup", "verify", *flags)
    assert checked.returncode == 0, checked.stderr
    await cluster.delete(manifest("v1 Namespace", name))


async def test_a_dry_run_writes_nothing(user: User, cluster: Cluster, tmp_path: Path) -> None:
    name, repository = fresh("dry"), tmp_path / "repo"
    mine = config_map("mine", name, x="1")
    await cluster.create(manifest("v1 Namespace", name), mine)
    flags = ("--repo", str(repository))
    assert (await user.run("backup", "init", *flags, "--dry-run=client")).returncode == 0
    assert not repository.exists()
    assert not user.state.exists()
    await made(user, repository)
    assert (await user.run("backup", "create", *flags)).returncode == 0
    await cluster.delete(mine)
    await cluster.create(config_map("extra", name))
    written = user.writes()
    before = files(repository)
    folder = tmp_path / "export"
    for command in (
        ("create", "--dry-run=client"),
        ("create", "--volumes", "all", "--hosts", "pod", "--dry-run=client"),
        ("prune", "--keep-last", "1", "--dry-run=client"),
        ("restore", "-n", name, "--prune", "--existing", "update", "--dry-run=client"),
        ("export", str(folder), "--dry-run=client"),
    ):
        done = await user.run("backup", *command, *flags)
        assert done.returncode == 0, done.stderr
        assert done.stdout
    assert user.writes() == written
    assert user.writes(dry=True) == []
    assert files(repository) == before
    assert not folder.exists()
    assert not (user.state / "shipkeeper" / "journal.db").exists()
    # With the server's help it is asked, and nothing is kept.
    done = await user.run("backup", "restore", "-n", name, *flags, "--dry-run=server")
    assert done.returncode == 0, done.stderr
    assert user.writes() == written
    assert len(user.writes(dry=True)) == 1
    await cluster.delete(manifest("v1 Namespace", name))


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_bad_input(newest: Sandbox, user: User, tmp_path: Path) -> None:
    flags = await made(user, tmp_path / "repo")
    assert (await user.run("backup", "create", *flags, "-n", "default")).returncode == 0
    elsewhere = User(newest, tmp_path)
    other = await made(elsewhere, tmp_path / "other")
    keys = elsewhere.state / "shipkeeper" / "backup"
    wrong_key = ("--key", str(keys / "writer.key"))
    wrong_identity = ("--identity", str(keys / "reader.age"))
    cases: tuple[tuple[tuple[str, ...], int, str], ...] = (
        (("list",), 2, "no repository is named"),
        (("list", "--repo", str(tmp_path / "nowhere")), 1, "no repository"),
        (("create", *other), 1, "repository"),
        (("create", *flags, *wrong_key), 1, ""),
        (("get", "cm", *flags, *wrong_identity), 1, ""),
        (("get", "wigdets", *flags), 2, "no kind 'wigdets'"),
        (("show", "nothing", *flags), 2, "no backup 'nothing'"),
        (("restore", "nothing", *flags), 2, "no backup 'nothing'"),
        (("restore", *flags, "--kind", "wigdets"), 2, "no kind 'wigdets'"),
        (("restore", *flags, "--namespace-map", "a"), 2, "is no mapping"),
        (("restore", *flags, "--patch", "cm=/nowhere"), 2, "cannot read the JSON patch"),
        (("restore", *flags, "-l", "a b"), 2, "cannot read the label selector"),
        (("create", *flags, "--name", "x"), 2, "'x' names no object"),
        (("export", str(tmp_path), *flags), 1, "holds something else"),
        (("import", str(tmp_path), *flags), 1, "is no exported backup"),
        (("init", *flags), 1, "exists already"),
        (("list", "--repo", "ftp://x/y"), 2, "no such kind of object storage"),
    )
    written = user.writes()
    for command, exit_code, words in cases:
        assert_refused(await user.run("backup", *command), exit_code, words)
    assert user.writes() == written


async def test_what_may_not_be_read_makes_a_backup_incomplete(world: World, tmp_path: Path) -> None:
    reader = User(world.sandbox, tmp_path, groups=())
    await grant(world, reader.name, "get,list namespaces", "get,list configmaps")
    flags = await made(reader, tmp_path / "repo")
    done = await reader.run("backup", "create", *flags, "--kind", "cm", "--kind", "secrets")
    assert done.returncode == 3
    assert "error: the backup is incomplete: secrets: not allowed to list secrets" in done.stderr
    listed = await reader.run("backup", "list", *flags, "-o", "json")
    (only,) = json.loads(listed.stdout)["items"]
    assert only["state"] == "Incomplete"


async def test_a_kind_that_the_target_does_not_know(
    user: User, cluster: Cluster, tmp_path: Path
) -> None:
    name = fresh("unknown")
    custom = definition(name)
    await cluster.create(custom, manifest("v1 Namespace", name), widget("a", name))
    flags = await made(user, tmp_path / "repo")
    assert (await user.run("backup", "create", *flags, "-n", name)).returncode == 0
    await cluster.delete(custom)
    done = await user.run("backup", "restore", *flags, "-n", name)
    assert done.returncode == 3
    assert f"serves no Widget of {name}.example.com/v1" in done.stderr
    await cluster.delete(manifest("v1 Namespace", name))
