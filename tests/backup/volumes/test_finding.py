"""Which volumes are found, how each could be saved, and where it is to come back to."""

from typing import Any

import pytest

from shipkeeper.backup.selection import Selection
from shipkeeper.backup.volumes.complaints import read_complaints
from shipkeeper.backup.volumes.destination import Return, Wishes, plan_volumes
from shipkeeper.backup.volumes.finding import Finding, find_volumes
from shipkeeper.backup.volumes.groups import grouped
from shipkeeper.backup.volumes.hooks import HookFlags, Hooks, OnError, hooks_of
from shipkeeper.backup.volumes.record import (
    SavedFiles,
    SavedSnapshot,
    State,
    Volume,
    VolumeRecord,
    Way,
)
from shipkeeper.backup.volumes.world import (
    ContainerName,
    KeptVolume,
    UsingPod,
    UsingSpec,
    UsingStatus,
    World,
)
from shipkeeper.errors import UsageError
from shipkeeper.model.meta import ObjectMeta
from shipkeeper.model.node import Node
from shipkeeper.model.storage import ClaimSpec, PersistentVolumeClaim

NODES = tuple(
    Node(metadata=ObjectMeta(name=name, labels={"kubernetes.io/hostname": f"host-{name}"}))
    for name in ("w1", "w2")
)


def pod(
    name: str, *volumes: dict[str, Any], phase: str = "Running", **annotations: str
) -> UsingPod:
    return UsingPod(
        metadata=ObjectMeta(
            name=name,
            namespace="shop",
            uid=f"uid-{name}",
            annotations=annotations,
            labels={"a": "b"},
        ),
        spec=UsingSpec(node_name="w1", volumes=volumes, containers=(ContainerName(name="main"),)),
        status=UsingStatus(phase=phase),
    )


def mounting(claim: str) -> dict[str, Any]:
    return {"name": f"v-{claim}", "persistentVolumeClaim": {"claimName": claim}}


def world(spec: dict[str, Any], *pods: UsingPod, **changes: Any) -> World:
    """One claim `shop/data`, bound to a volume of this spec."""
    claim = PersistentVolumeClaim(
        metadata=ObjectMeta(name="data", namespace="shop"), spec=ClaimSpec(volume_name="pv")
    )
    kept = KeptVolume(metadata=ObjectMeta(name="pv"), spec=spec)
    settings: dict[str, Any] = {
        "claims": [claim],
        "volumes": {"pv": kept},
        "nodes": NODES,
        "pods": pods,
        **changes,
    }
    return World(**settings)


def found(there: World, **finding: Any) -> dict[str, Volume]:
    return {each.id: each for each in find_volumes(there, Selection(), Finding(**finding))}


def on(*hosts: str) -> dict[str, Any]:
    match = {"key": "kubernetes.io/hostname", "operator": "In", "values": list(hosts)}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [match]}]}}


USER = pod("db", mounting("data"))
MOUNT = "w1:/var/lib/kubelet/pods/uid-db/volumes/*/pv"


@pytest.mark.parametrize(
    ("spec", "pods", "way", "place", "reason"),
    [
        ({"local": {"path": "/d"}, "nodeAffinity": on("host-w2")}, (), "Files", "w2:/d", ""),
        ({"local": {"path": "/d"}, "nodeAffinity": on("gone")}, (), "None", "", "NodeUnknown"),
        ({"hostPath": {"path": "/d"}}, (USER,), "Files", "w1:/d", ""),
        ({"hostPath": {"path": "/d"}}, (), "None", "", "NodeUnknown"),
        ({"nfs": {"server": "s", "path": "/d"}}, (USER,), "Files", MOUNT, ""),
        ({"nfs": {"server": "s", "path": "/d"}}, (), "None", "", "NotMounted"),
        ({"nfs": {}}, (pod("db", mounting("data"), phase="Pending"),), "None", "", "NotMounted"),
        ({"csi": {"driver": "other"}}, (USER,), "Files", MOUNT, ""),
        ({"csi": {"driver": "d"}}, (), "Snapshot", "d", ""),
        ({"csi": {"driver": "d"}, "volumeMode": "Block"}, (USER,), "Snapshot", "d", ""),
        ({"iscsi": {}, "volumeMode": "Block"}, (USER,), "None", "", "BlockMode"),
        ({"iscsi": {}}, (USER,), "Files", MOUNT, ""),
    ],
)
def test_how_a_claim_could_be_saved(
    spec: dict[str, Any], pods: tuple[UsingPod, ...], way: str, place: str, reason: str
) -> None:
    spec = {"capacity": {}, "claimRef": {}, "accessModes": ["ReadWriteOnce"], **spec}
    volume = found(world(spec, *pods, snapshot_classes={"d": "class"}))["claim/shop/data"]
    assert (volume.way, volume.place, volume.reason) == (way, place, reason)
    assert volume.type in spec
    assert volume.is_asked


def test_a_host_path_on_two_nodes_is_two_volumes() -> None:
    spec = {"hostPath": {"path": "/d"}, "nodeAffinity": on("host-w1", "host-w2")}
    assert set(found(world(spec))) == {"claim/shop/data@w1", "claim/shop/data@w2"}


def test_what_pods_spell_out() -> None:
    first = pod(
        "one",
        {"name": "etc", "hostPath": {"path": "/etc"}},
        {"name": "logs", "hostPath": {"path": "/logs"}},
        {"name": "run", "hostPath": {"path": "/run/x", "type": "Socket"}},
        {"name": "share", "nfs": {"server": "s", "path": "/p"}},
        {"name": "scratch", "emptyDir": {}},
        {"name": "odd", "flocker": {}},
        {"name": "conf", "configMap": {"name": "c"}},
        {"name": "token", "projected": {}},
    )
    second = pod(
        "two",
        {"name": "my-logs", "hostPath": {"path": "/logs"}},
        {"name": "share", "nfs": {"server": "s", "path": "/p"}},
        **{
            "backup.shipkeeper.dev/volumes": "my-logs , other",
            "backup.velero.io/backup-volumes-excludes": "share",
        },
    )
    volumes = found(World(pods=[first, second], nodes=NODES))
    assert {id_: (each.way, each.is_asked, each.reason) for id_, each in volumes.items()} == {
        "hostpath/w1/etc": ("Files", False, "NotAsked"),
        "hostpath/w1/logs": ("Files", True, ""),
        "hostpath/w1/run/x": ("None", False, "NoDirectory"),
        "nfs/s/p": ("Files", True, ""),
        "pod/shop/one/odd": ("Files", True, ""),
        "pod/shop/one/scratch": ("None", False, "Ephemeral"),
    }
    assert volumes["hostpath/w1/logs"].pods == ("shop/one", "shop/two")
    only = found(World(pods=[first, second], nodes=NODES), only=("hostpath/*/etc", "nfs/*"))
    assert {id_ for id_, each in only.items() if each.is_asked} == {"hostpath/w1/etc", "nfs/s/p"}


def test_what_may_not_be_read_is_said() -> None:
    there = world({}, volumes={}, denied=("persistentvolumes",))
    assert found(there)["claim/shop/data"].reason == "Forbidden"
    assert found(world({}, volumes={}))["claim/shop/data"].reason == "VolumeGone"


def test_hooks_of_annotations_and_flags() -> None:
    own = pod("own", **{"hook.shipkeeper.dev/before": "sync", "hook.shipkeeper.dev/after": '["x"]'})
    hooks = hooks_of(own, HookFlags())
    assert hooks.before
    assert hooks.after
    assert (hooks.before.command, hooks.before.container) == (("sh", "-c", "sync"), "main")
    assert (hooks.after.command, hooks.after.timeout) == (("x",), 30.0)
    velero = pod(
        "velero",
        **{
            "pre.hook.backup.velero.io/command": "/freeze",
            "pre.hook.backup.velero.io/container": "side",
            "pre.hook.backup.velero.io/timeout": "2m",
            "pre.hook.backup.velero.io/on-error": "Continue",
        },
    )
    hook = hooks_of(velero, HookFlags(pods="a=b", before="never", after="sync")).before
    assert hook
    assert (hook.command, hook.container, hook.timeout) == (("/freeze",), "side", 120.0)
    assert hook.on_error is OnError.CONTINUE
    assert hooks_of(pod("x"), HookFlags(pods="a=c", before="sync")) == Hooks()
    assert hooks_of(pod("x", phase="Pending"), HookFlags(before="sync")) == Hooks()
    with pytest.raises(UsageError, match="pod shop/bad makes no sense"):
        hooks_of(pod("bad", **{"hook.shipkeeper.dev/before": "[1"}), HookFlags())


def test_volumes_that_share_a_pod_with_hooks_are_saved_together() -> None:
    def volume(name: str, *pods: str) -> Volume:
        return Volume(id=name, type="x", way=Way.FILES, pods=pods)

    volumes = [volume("a", "p"), volume("b", "q"), volume("c", "p", "q"), volume("d"), volume("e")]
    groups = grouped(volumes, {"p": Hooks(), "q": Hooks()})
    assert [sorted(each.id for each in group.volumes) for group in groups] == [
        ["a", "b", "c"],
        ["d"],
        ["e"],
    ]
    assert set(groups[0].hooks) == {"p", "q"}


FILES = SavedFiles(section="volumes/x", files=1, content_bytes=1, stream_bytes=1)
LOCAL = {"local": {"path": "/d"}, "nodeAffinity": on("host-w1")}


def record(volume: Volume, state: State = State.SAVED) -> VolumeRecord:
    return VolumeRecord(volume=volume, state=state, files=FILES, message="some of it")


def planned(
    saved: VolumeRecord, there: World, how: Return = Return.IN_PLACE, **wishes: Any
) -> tuple[str, str, str]:
    """What becomes of it, where, and the reason of its verdict."""
    (step,) = plan_volumes((saved,), there, Wishes(how=how, backup="0123456789ab", **wishes))
    return (step.doing, step.place, step.verdict.reason if step.verdict else "")


def test_where_files_come_back_to() -> None:
    there = world(LOCAL)
    saved = record(found(there)["claim/shop/data"])
    assert planned(saved, there) == ("Update", "w1:/d", "")
    assert planned(saved, world(LOCAL, USER)) == ("Update", "w1:/d", "InUse")
    assert planned(record(saved.volume, State.PARTIAL), there) == ("Update", "w1:/d", "NotWhole")
    assert planned(saved, there, Return.NEW) == ("Create", "w1:/d.restored-012345", "")
    places = {"claim/shop/data": "w2:/e"}
    assert planned(saved, there, places=places) == ("Create", "w2:/e", "")
    assert planned(saved, there, places={"claim/shop/data": "w9:/e"})[2] == "NodeMissing"
    assert planned(saved, there, places={"claim/shop/data": "w1:e"})[2] == "InvalidPlace"
    empty = World(nodes=NODES)
    assert planned(saved, empty) == ("Refuse", "", "VolumeMissing")
    assert planned(saved, empty, coming={"shop/data"}) == ("Update", "", "")
    assert planned(saved, there, namespaces={"shop": "other"}) == ("Refuse", "", "VolumeMissing")
    assert planned(saved, World(), Return.NEW)[2] == "NodeMissing"
    mounted = record(found(world({"nfs": {}}, USER))["claim/shop/data"])
    assert planned(mounted, there, Return.NEW)[2] == "NoPlace"
    assert planned(mounted, there, Return.NEW_CLAIM)[2] == "NoPlace"
    assert planned(mounted, there, Return.NEW_CLAIM, places=places) == ("Create", "w2:/e", "")
    (step,) = plan_volumes((saved,), there, Wishes(how=Return.NEW_CLAIM, backup="0123456789ab"))
    assert step.effect == "w1:/d.restored-012345, as claim shop/data-restored-012345"
    unclaimed = record(Volume(id="hostpath/w1/d", type="hostPath", way=Way.FILES))
    assert planned(unclaimed, there, Return.NEW_CLAIM, places={"hostpath/w1/d": "w1:/e"})[2] == (
        "NoClaim"
    )
    assert planned(mounted, world({"nfs": {}}, USER)) == ("Update", "", "")


def test_what_is_not_meant_is_left_out() -> None:
    saved = record(found(world(LOCAL))["claim/shop/data"])
    others = Selection(namespaces=("other",))
    for wishes in (
        Wishes(how=Return.NEW, backup="0123456789ab", only=("x/*",)),
        Wishes(how=Return.NEW, backup="0123456789ab", selection=others),
    ):
        assert plan_volumes((saved,), world(LOCAL), wishes) == ()


def test_snapshots_come_back_with_claims_that_are_made() -> None:
    there = world({"csi": {"driver": "d"}}, snapshot_classes={"d": "class"})
    kept = SavedSnapshot(namespace="shop", name="s", driver="d", handle="h")
    volume = found(there)["claim/shop/data"]
    saved = VolumeRecord(volume=volume, state=State.SAVED, snapshot=kept)
    assert planned(saved, there) == ("Refuse", "", "ClaimExists")
    assert planned(saved, there, Return.NEW) == ("Create", "", "")
    assert planned(saved, there, Return.NEW_CLAIM) == ("Create", "", "")
    assert planned(saved, World(), coming={"shop/data"}) == ("Create", "", "")
    assert planned(saved, World()) == ("Refuse", "", "ClaimMissing")


def test_what_tar_says_is_sorted_by_file() -> None:
    said = read_complaints(
        'tar: "./d/log": file changed as we read it\n'
        '/bin/tar: "./d/log": File shrank by 7 bytes; padding with zeros\n'
        'tar: "./a\\n\\303\\251\\"": Cannot open: Permission denied\n'
        'tar: "./sock": socket ignored\n'
        'tar: "./proc/": file is on a different filesystem; not dumped\n'
        'tar: "./gone": File removed before we read it\n'
        "tar: Exiting with failure status due to previous errors\n"
    )
    assert [each.name for each in said.changed] == [b"./d/log"]
    assert [each.name for each in said.gone] == [b"./gone"]
    assert [each.name for each in said.left_out] == [b"./sock", b"./proc/"]
    assert [str(each) for each in said.missing] == ['a\\né": Cannot open: Permission denied']


WITH_DATA: tuple[tuple[list[dict[str, Any]], bool], ...] = (
    ([], False),
    ([{"name": "token", "projected": {}}, {"name": "c", "configMap": {"name": "c"}}], False),
    ([{"name": "token", "projected": {}}, {"name": "scratch", "emptyDir": {}}], True),
    ([{"name": "scratch"}], True),
    ([{"name": "d", "persistentVolumeClaim": {"claimName": "d"}}], True),
    ([{"name": "h", "hostPath": {"path": "/h"}}], True),
)


@pytest.mark.parametrize(("volumes", "has_data"), WITH_DATA)
def test_a_pod_has_data_if_a_volume_may_hold_its_own(
    volumes: list[dict[str, Any]], has_data: bool
) -> None:
    found = UsingPod(metadata=ObjectMeta(name="a"), spec=UsingSpec(volumes=tuple(volumes)))
    assert found.has_data is has_data
