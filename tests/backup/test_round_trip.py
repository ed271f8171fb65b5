"""Everything of a rich cluster backed up, wiped and restored means what it meant before."""

import asyncio
from pathlib import Path

from shipkeeper.backup.archive import open_archive
from shipkeeper.backup.comparing import ArchiveSide, LiveSide, compare
from shipkeeper.backup.difference import ObjectChange
from shipkeeper.backup.folder import export_folder, import_folder
from shipkeeper.backup.restore_options import Existing, ObjectPatch, RestoreOptions
from shipkeeper.backup.selection import Selection
from shipkeeper.engine.journal import Journal, Outcome
from shipkeeper.kube.connection import Connection, connect
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.store.repository import Repository
from tests.backup.cluster import PATIENCE, Cluster, back_up, bring_back, config_map, fresh, manifest
from tests.backup.rich import build, cluster_scoped, namespaced, widget, workload
from tests.nodes.world import options_of


async def changes_of(
    cluster: Cluster, repository: Repository, name: str, backup: str = "latest"
) -> tuple[ObjectChange, ...]:
    """How the cluster differs from a backup, as far as objects of that name are concerned."""
    side = ArchiveSide(await open_archive(repository, backup))
    found = await compare(side, LiveSide(cluster.connection), Selection())
    assert not found.not_compared
    return tuple(each for each in found.changes if name in (each.namespace, *each.name.split(":")))


async def settled(cluster: Cluster, name: str) -> None:
    """Wait until the controllers have done what they do about the objects."""
    workloads = [
        manifest(f"apps/v1 {kind}", each, name)
        for kind, each in (("Deployment", "web"), ("DaemonSet", "agent"), ("StatefulSet", "db"))
    ]
    claim = manifest("v1 PersistentVolumeClaim", "data", name)
    role = manifest("rbac.authorization.k8s.io/v1 ClusterRole", f"{name}:whole")
    async with asyncio.timeout(PATIENCE):
        while True:
            live = [await cluster.get(each) for each in workloads]
            are_seen = all(each["status"].get("observedGeneration", 0) >= 1 for each in live)
            is_bound = (await cluster.get(claim))["status"].get("phase") == "Bound"
            if are_seen and is_bound and (await cluster.get(role)).get("rules"):
                return
            await asyncio.sleep(0.2)


async def test_everything_comes_back(
    secluded: Sandbox, repository: Repository, tmp_path: Path
) -> None:
    async with connect(options_of(secluded)) as connection:
        await go_round(Cluster(connection), repository, Journal(tmp_path / "journal.db"))


async def go_round(cluster: Cluster, repository: Repository, journal: Journal) -> None:
    name = fresh("rich")
    objects = await build(cluster, name)
    await settled(cluster, name)
    contents = await back_up(cluster, repository)
    assert contents.is_complete
    assert await changes_of(cluster, repository, name) == ()

    await wipe(cluster, name)
    gone = {each.key for each in await changes_of(cluster, repository, name)}
    assert len(gone) >= len(objects)

    result = await bring_back(cluster, repository, journal, RestoreOptions())
    assert result is not None
    assert result.outcome is Outcome.SUCCEEDED, result.failures
    await settled(cluster, name)
    assert await changes_of(cluster, repository, name) == ()
    await assert_owned(cluster, name)

    for existing in Existing:
        again = RestoreOptions(existing=existing)
        assert await bring_back(cluster, repository, journal, again) is None


async def wipe(cluster: Cluster, name: str) -> None:
    """Delete everything, the namespace first, as somebody would by mistake."""
    await cluster.delete(widget("root", name, finalizers=["example.com/keep"]))
    await cluster.delete(namespaced(name)[0])
    await cluster.delete(*cluster_scoped(name))


async def assert_owned(cluster: Cluster, name: str) -> None:
    """Each child refers to its owner of now, and is not collected."""
    root = await cluster.get(widget("root", name))
    branch = await cluster.get(config_map("branch", name))
    leaf = await cluster.get(manifest("v1 Secret", "leaf", name))
    twig = await cluster.get(widget("twig", name))
    for owner, child in ((root, branch), (branch, leaf), (branch, twig)):
        (reference,) = child["metadata"]["ownerReferences"]
        assert reference["uid"] == owner["metadata"]["uid"]
    assert root["metadata"]["finalizers"] == ["example.com/keep"]


async def test_maps_patches_and_scale(
    new: Connection, repository: Repository, tmp_path: Path
) -> None:
    cluster, name = Cluster(new), fresh("maps")
    elsewhere = f"{name}-elsewhere"
    journal = Journal(tmp_path / "journal.db")
    await cluster.create(
        manifest("v1 Namespace", name),
        workload("apps/v1 Deployment", "web", name, replicas=3),
        config_map("a", name, x="1"),
        config_map("b", name, x="1"),
        manifest(
            "rbac.authorization.k8s.io/v1 RoleBinding",
            "r",
            name,
            roleRef={
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "view",
            },
            subjects=[{"kind": "ServiceAccount", "name": "default", "namespace": name}],
        ),
    )
    await back_up(cluster, repository, Selection(namespaces=(name,)))
    operations = ({"op": "replace", "path": "/data/x", "value": "2"},)
    options = RestoreOptions(
        namespaces={name: elsewhere},
        images={"registry.k8s.io/": "mirror.example/"},
        patches=(ObjectPatch(target=f"cm/{elsewhere}/a", operations=operations),),
        scaled_to_zero=True,
    )
    result = await bring_back(cluster, repository, journal, options)
    assert result is not None
    assert result.outcome is Outcome.SUCCEEDED, result.failures
    web = await cluster.get(workload("apps/v1 Deployment", "web", elsewhere))
    assert web["spec"]["replicas"] == 0
    assert web["metadata"]["annotations"]["shipkeeper.dev/replicas"] == "3"
    assert web["spec"]["template"]["spec"]["containers"][0]["image"] == "mirror.example/pause:3.9"
    assert (await cluster.get(config_map("a", elsewhere)))["data"] == {"x": "2"}
    assert (await cluster.get(config_map("b", elsewhere)))["data"] == {"x": "1"}
    binding = manifest("rbac.authorization.k8s.io/v1 RoleBinding", "r", elsewhere)
    (subject,) = (await cluster.get(binding))["subjects"]
    assert subject["namespace"] == elsewhere
    # One object by its name, into a namespace that is there.
    await cluster.delete(config_map("b", name))
    one = RestoreOptions(selection=Selection(names=(f"configmap/{name}/b",)))
    result = await bring_back(cluster, repository, journal, one)
    assert result is not None
    assert (await cluster.get(config_map("b", name)))["data"] == {"x": "1"}
    await cluster.delete(manifest("v1 Namespace", name), manifest("v1 Namespace", elsewhere))


async def test_what_is_there_is_skipped_updated_recreated_or_pruned(
    new: Connection, repository: Repository, tmp_path: Path
) -> None:
    cluster, name = Cluster(new), fresh("there")
    journal = Journal(tmp_path / "journal.db")
    fixed = {**config_map("fixed", name, x="1"), "immutable": True}
    mine = config_map("mine", name, x="1", y="2")
    await cluster.create(manifest("v1 Namespace", name), mine, fixed)
    where = Selection(namespaces=(name,), kinds=("cm",))
    await back_up(cluster, repository, Selection(namespaces=(name,)))
    await cluster.delete(fixed)
    kind = await cluster.kind(mine)
    changed = {"data": {"x": "changed", "y": None, "z": "new"}}
    await cluster.writer.patch(kind.resource, "mine", changed, namespace=name)
    other = {**config_map("fixed", name, x="other"), "immutable": True}
    extra = config_map("extra", name)
    await cluster.create(other, extra)
    before = (await cluster.get(other))["metadata"]["uid"]

    assert await bring_back(cluster, repository, journal, RestoreOptions(selection=where)) is None
    update = RestoreOptions(selection=where, existing=Existing.UPDATE)
    result = await bring_back(cluster, repository, journal, update)
    assert result is not None
    assert result.outcome is Outcome.INCOMPLETE
    assert (await cluster.get(mine))["data"] == {"x": "1", "y": "2"}
    assert (await cluster.get(fixed))["metadata"]["uid"] == before

    recreate = RestoreOptions(selection=where, existing=Existing.RECREATE, prune=True)
    result = await bring_back(cluster, repository, journal, recreate)
    assert result is not None
    assert result.outcome is Outcome.SUCCEEDED, result.failures
    assert (await cluster.get(fixed))["data"] == {"x": "1"}
    assert await changes_of(cluster, repository, name) == ()
    assert await bring_back(cluster, repository, journal, recreate) is None
    await cluster.delete(manifest("v1 Namespace", name))


async def test_through_a_folder_of_yaml(
    new: Connection, repository: Repository, tmp_path: Path
) -> None:
    cluster, name = Cluster(new), fresh("yaml")
    journal, folder = Journal(tmp_path / "journal.db"), tmp_path / "git"
    secret = manifest("v1 Secret", "s", name, stringData={"pw": "hunter2"})
    mine = config_map("a", name, yes="no", number="1e3", text="a: b\n- c\n")
    await cluster.create(manifest("v1 Namespace", name), mine, secret)
    await back_up(cluster, repository, Selection(namespaces=(name,)))
    archive = await open_archive(repository, "latest")
    where = Selection(namespaces=(name,))
    done = await export_folder(archive, folder, where, secrets=False, dry_run=False)
    assert done.secrets_left_out == 1
    assert not [path for path in folder.rglob("*") if path.is_file() and b"pw" in path.read_bytes()]
    (folder / name / "configmaps" / "stale.yaml").write_text("x")
    done = await export_folder(archive, folder, where, secrets=True, dry_run=False)
    assert done.removed == 1
    made, _ = await import_folder(repository, folder, dry_run=False)
    assert made is not None
    await cluster.delete(manifest("v1 Namespace", name))
    result = await bring_back(cluster, repository, journal, RestoreOptions())
    assert result is not None
    assert result.outcome is Outcome.SUCCEEDED, result.failures
    assert await changes_of(cluster, repository, name, archive.backup.name) == ()
    await cluster.delete(manifest("v1 Namespace", name))
