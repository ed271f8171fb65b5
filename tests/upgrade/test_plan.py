"""The plan of an upgrade: its steps, the words it runs, what is refused, and the ways back."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from shipkeeper.engine.verdict import Verdict
from shipkeeper.model.meta import ObjectMeta
from shipkeeper.model.node import Node, NodeAddress, NodeStatus, NodeSystemInfo
from shipkeeper.nodes.fleet.observe import FleetState
from shipkeeper.nodes.options import DrainOptions, MaintenanceOptions, SshAccess
from shipkeeper.upgrade.catalog import catalog
from shipkeeper.upgrade.check.programs import Given, of_maps
from shipkeeper.upgrade.commands import TELLS_WHY
from shipkeeper.upgrade.component import Component, Name
from shipkeeper.upgrade.options import BackupInto, UpgradeOptions, options_of
from shipkeeper.upgrade.outlook import UpgradeOutlook, outlook_of
from shipkeeper.upgrade.plan import plan_upgrade
from shipkeeper.upgrade.starting import refused_settings
from shipkeeper.upgrade.versions import ClusterVersions

NOW = datetime(2026, 11, 26, tzinfo=UTC)
CONTROL_PLANE = {"node-role.kubernetes.io/control-plane": ""}


def node(name: str, system: str = "Debian GNU/Linux 12 (bookworm)") -> Node:
    return Node(
        metadata=ObjectMeta(
            name=name, uid=name, labels=CONTROL_PLANE if name.startswith("cp") else {}
        ),
        status=NodeStatus(
            addresses=(NodeAddress(type="InternalIP", address="10.0.0.1"),),
            node_info=NodeSystemInfo(os_image=system),
            allocatable={"cpu": "4", "memory": "8Gi", "pods": "110"},
        ),
    )


def cluster(version: str, *names: str, kubelet: str = "", managed: bool = False) -> ClusterVersions:
    found = [Component(name=Name.KUBELET, text=kubelet or version, node=name) for name in names]
    for name in names:
        if name.startswith("cp") and not managed:
            found += [
                Component(name=each, text=version, node=name, pod=f"kube-system/{each}-{name}")
                for each in (Name.API_SERVER, Name.CONTROLLER_MANAGER, Name.SCHEDULER)
            ]
            found.append(Component(name=Name.ETCD, text="3.6.8-0", node=name, pod=f"e-{name}"))
    if managed:
        found.append(Component(name=Name.API_SERVER, text=version))
    return ClusterVersions(server=version, components=tuple(found))


RUNNING = cluster("v1.36.3", "cp1")


def planned(
    versions: ClusterVersions,
    target: str,
    *nodes: Node,
    ssh: bool = True,
    settings: Sequence[Verdict] = (),
    **options: Any,
) -> tuple[Any, UpgradeOutlook | None]:
    state = FleetState(
        nodes=nodes,
        pods=(),
        budgets=(),
        daemon_sets=frozenset(),
        eviction_version="v1",
        budget_version="v1",
        cluster=nodes,
        everything=(),
        volumes={},
    )
    maintenance = MaintenanceOptions(
        drain=DrainOptions(), ssh=SshAccess() if ssh else None, steer=False
    )
    wanted = UpgradeOptions(target=target, nodes=maintenance, **options)
    plan = plan_upgrade(versions, state, wanted, catalog(), NOW, settings)
    return plan, outlook_of(plan)


def steps(plan: Any) -> list[str]:
    return [step.id for step in plan.steps]


def test_the_classic_order() -> None:
    plan, outlook = planned(
        *(cluster("v1.36.3", "cp1", "w1"), "v1.37.2", node("cp1"), node("w1")), via=("v1.36.3",)
    )
    assert outlook is not None
    assert steps(plan) == [
        *("cp1/preflight", "cp1/snapshot", "cp1/kubeadm-1", "cp1/control-plane-1"),
        "cluster/verify-1",
        *(f"w1/{each}" for each in ("cordon", "drain", "update", "ready", "uncordon")),
        # Between the workers and the control plane's nodes, health must hold.
        "fleet/gate-1",
        *(f"cp1/{each}" for each in ("cordon", "drain", "update", "ready", "uncordon")),
        "cluster/verify",
    ]
    assert outlook.hops == ("v1.37.2",)
    assert outlook.commands["cp1/kubeadm-1"].lines == (
        r"sed -i 's#/core:/stable:/v[0-9]*\.[0-9]*/#/core:/stable:/v1.37/#' "
        "/etc/apt/sources.list.d/kubernetes.list",
        "apt-get update",
        "apt-mark unhold kubeadm",
        "apt-get install -y --allow-downgrades kubeadm='1.37.2-*'",
        "apt-mark hold kubeadm",
        'test "$(kubeadm version -o short)" = v1.37.2',
    )
    assert outlook.commands["cp1/control-plane-1"].lines == (
        *TELLS_WHY,
        "kubeadm upgrade plan v1.37.2",
        "kubeadm upgrade apply v1.37.2 --yes",
    )
    # Its control plane is upgraded already: kubeadm is not run again on a drained node of it.
    assert not any("kubeadm upgrade" in line for line in outlook.commands["cp1/update"].lines)
    assert "kubeadm upgrade node" in outlook.commands["w1/update"].lines
    restarted = outlook.commands["w1/update"].lines.index("systemctl restart kubelet")
    assert outlook.commands["w1/update"].lines[restarted - 1] == "systemctl daemon-reload"
    # What an abort puts back: of a worker all packages, of the control plane but the kubelet.
    assert "kubeadm='1.36.3-*'" in " ".join(outlook.commands["w1/update"].undo)
    assert "kubeadm='" not in " ".join(outlook.commands["cp1/update"].undo)
    assert "kubeadm='1.36.3-*'" in " ".join(outlook.commands["cp1/kubeadm-1"].undo)
    assert [point.until for point in outlook.return_points] == [
        *("cp1/control-plane-1", "w1/update", "cp1/update"),
    ]


def test_todays_latest_patch_comes_before_the_next_minor() -> None:
    _, outlook = planned(cluster("v1.35.1", "cp1"), "v1.37.2", node("cp1"))
    assert outlook is not None
    latest = [str(catalog().latest(minor)) for minor in (35, 36)]
    assert outlook.hops == (*latest, "v1.37.2")
    assert outlook.drains == 1


def test_controllers_behind_a_load_balancer_are_pinned_first() -> None:
    nodes = tuple(map(node, ("cp1", "cp2", "w1")))
    versions = cluster("v1.36.6", "cp1", "cp2", "w1")
    plan, outlook = planned(versions, "v1.37.2", *nodes)
    assert outlook is not None
    order = steps(plan)
    assert order.index("cp2/pin-1") < order.index("cp1/control-plane-1")
    assert outlook.commands["cp2/control-plane-1"].lines == (*TELLS_WHY, "kubeadm upgrade node")
    again, _ = planned(versions, "v1.37.2", *nodes, pinned=True)
    assert "cp1/pin-1" not in steps(again)


def test_old_kubeadm_takes_lagging_kubelets_by_force_only() -> None:
    _, outlook = planned(cluster("v1.26.15", "cp1", "w1"), "v1.28.15", node("cp1"), node("w1"))
    assert outlook is not None
    assert outlook.commands["cp1/control-plane-1"].lines[-1].endswith("v1.27.16 --yes")
    assert outlook.commands["cp1/control-plane-2"].lines[-1].endswith("v1.28.15 --yes --force")


def test_systems_with_dnf() -> None:
    _, outlook = planned(
        cluster("v1.36.6", "cp1"), "v1.37.2", node("cp1", "Rocky Linux 9.4 (Blue Onyx)")
    )
    assert outlook is not None
    assert "dnf install -y 'kubeadm-1.37.2-*' --disableexcludes=kubernetes" in (
        outlook.commands["cp1/kubeadm-1"].lines
    )


def test_clusters_that_others_upgrade_are_waited_for() -> None:
    plan, outlook = planned(
        *(cluster("v1.36.4-eks-1a2b", "w1", managed=True), "v1.37.2", node("w1")), ssh=False
    )
    assert outlook is not None
    assert steps(plan)[0] == "cluster/await-1"
    last = plan.steps[-1]
    assert (last.id, last.action, last.after) == ("cluster/verify", "kubelets", ("w1/uncordon",))
    assert not outlook.commands


@pytest.mark.parametrize("there", ["v1.37.0-eks-1a2b", "v1.37.4-eks-1a2b"])
def test_of_clusters_that_others_upgrade_the_minor_alone_counts(there: str) -> None:
    plan, _ = planned(
        *(cluster(there, "w1", managed=True), "v1.37.2", node("w1")),
        ssh=False,
    )
    assert (steps(plan), plan.verdicts) == ([], ())


def test_a_control_plane_that_is_seen_may_be_upgraded_by_others_too() -> None:
    versions = cluster("v1.36.1", "cp1", "cp2", "w1")
    plan, outlook = planned(*(versions, "v1.37.2", node("cp1"), node("cp2"), node("w1")), ssh=False)
    assert steps(plan)[0] == "cluster/await-1"
    assert {step.action for step in plan.steps}.isdisjoint({"host", "kubeadm", "verify"})
    assert outlook is not None
    assert outlook.commands == {}
    assert outlook.hops == ("v1.37.2",)


@pytest.mark.parametrize(
    ("versions", "target", "reason"),
    [
        (cluster("v1.37.2", "cp1"), "v1.36.6", "NoWayDown"),
        (cluster("v1.36.6", "cp1", kubelet="v1.37.0"), "v1.37.2", "KubeletNotNewer"),
        (cluster("v1.36.6", "cp1", kubelet="v1.32.0"), "v1.37.2", "KubeletTooOld"),
    ],
)
def test_what_cannot_be_upgraded_is_refused(
    versions: ClusterVersions, target: str, reason: str
) -> None:
    plan, _ = planned(versions, target, node("cp1"))
    assert not plan.steps
    assert reason in {each.reason for each in plan.blockers}


def test_a_hop_that_was_begun_is_gone_on_with() -> None:
    versions = cluster("v1.36.6", "cp1", "cp2")
    changed = tuple(
        Component(name=each.name, text="v1.37.2", node=each.node, pod=each.pod)
        if each.node == "cp1" and each.name not in (Name.KUBELET, Name.ETCD)
        else each
        for each in versions.components
    )
    half = ClusterVersions(server="v1.37.2", components=changed)
    plan, outlook = planned(half, "v1.37.2", node("cp1"), node("cp2"), pinned=True)
    assert outlook is not None
    assert "cp1/control-plane-1" not in steps(plan)
    assert "cp2/control-plane-1" in steps(plan)


def test_what_was_asked_for_survives_the_journal() -> None:
    plan, _ = planned(cluster("v1.36.6", "cp1"), "v1.37.2", node("cp1"))
    assert options_of(plan.request).target == "v1.37.2"


def test_each_hop_is_taken_back_to_the_one_before() -> None:
    by = ("v1.35.10", "v1.36.3")
    _, outlook = planned(cluster("v1.35.9", "cp1"), "v1.37.2", node("cp1"), via=by)
    assert outlook is not None
    back = {step: " ".join(found.undo) for step, found in outlook.commands.items()}
    assert "kubeadm='1.35.9-*'" in back["cp1/kubeadm-1"]
    assert "kubeadm='1.35.10-*'" in back["cp1/kubeadm-2"]
    assert "kubeadm='1.36.3-*'" in back["cp1/kubeadm-3"]
    assert "kubelet='1.35.9-*'" in back["cp1/update"]


def test_what_is_not_saved_is_said() -> None:
    versions, nodes = cluster("v1.36.6", "cp1"), (node("cp1"),)
    plan, _ = planned(versions, "v1.37.2", *nodes)
    assert unsaved(plan) == ["NoBackup"]
    plan, _ = planned(versions, "v1.37.2", *nodes, goes_without_backup=True)
    assert unsaved(plan) == []
    plan, _ = planned(versions, "v1.37.2", *nodes, backup=BackupInto(url="s3://b/p"))
    assert unsaved(plan) == []
    assert steps(plan)[:3] == ["cp1/preflight", "cluster/backup", "cp1/snapshot"]
    outside = tuple(each for each in versions.components if each.name != Name.ETCD)
    plan, _ = planned(ClusterVersions(server="v1.36.6", components=outside), "v1.37.2", *nodes)
    assert unsaved(plan) == ["NoBackup", "NoSnapshot"]


def unsaved(plan: Any) -> list[str]:
    return [each.reason for each in plan.verdicts if each.target == "cluster"]


def test_clusters_that_others_upgrade_are_backed_up_too() -> None:
    versions = cluster("v1.36.6", "w1", managed=True)
    plan, _ = planned(
        *(versions, "v1.37.2", node("w1")), ssh=False, backup=BackupInto(url="s3://b/p")
    )
    assert steps(plan)[:2] == ["cluster/backup", "cluster/await-1"]


@pytest.mark.parametrize(
    ("configuration", "reason"),
    [
        ({"feature-gates": "AnyVolumeDataSource=true"}, "RemovedFeatureGate"),
        ([{"name": "cloud_provider", "value": "external"}], "RemovedFlag"),
        ([{"name": "enable-admission-plugins", "value": "NodeRestriction"}], ""),
    ],
)
def test_what_would_not_start_forbids_an_upgrade(configuration: Any, reason: str) -> None:
    kubeadm = {"apiServer": {"extraArgs": configuration}}
    given = of_maps({"kubeadm-config": {"ClusterConfiguration": json.dumps(kubeadm)}}, RUNNING)
    plan, _ = planned(
        *(cluster("v1.36.3", "cp1"), "v1.37.2", node("cp1")),
        settings=tuple(refused_settings(given, 37, catalog())),
    )
    assert [each.reason for each in plan.blockers] == ([reason] if reason else [])
    assert bool(plan.steps) == (not reason)


def test_entries_written_by_hand_are_read_as_far_as_they_go() -> None:
    entries = [{"value": "4"}, "v", {"name": "cloud-config", "value": 4}, {"name": None}]
    kubeadm = {"apiServer": {"extraArgs": entries}, "scheduler": "x", "controllerManager": [1]}
    given = of_maps({"kubeadm-config": {"ClusterConfiguration": json.dumps(kubeadm)}}, RUNNING)
    assert given.programs[0].flags["cloud-config"] == "4"
    assert [each.target for each in refused_settings(given, 37, catalog())] == [
        "ConfigMap kube-system/kubeadm-config --cloud-config"
    ]


@pytest.mark.parametrize(
    "text",
    ["a: 2026-13-45", "!!int ''", "!!timestamp x", "[" * 9999, "a: [", "- a", "\x00", "? {}\n: 1"],
    ids=lambda text: repr(text[:9]),
)
def test_what_is_no_yaml_is_warned_of(text: str) -> None:
    given = of_maps({"kubelet-config": {"kubelet": text}, "other": {"kubelet": text}}, RUNNING)
    assert given.unread == ("ConfigMap kube-system/kubelet-config",)
    (verdict,) = refused_settings(given, 37, catalog())
    assert (verdict.reason, verdict.blocks) == ("SettingsNotChecked", False)
    assert "kubelet-config" in verdict.message


def test_maps_without_settings_give_none() -> None:
    names = ("kubeadm-config", "kubelet-config", "kube-proxy", "other")
    assert of_maps({name: {} for name in names}, RUNNING) == Given()


@pytest.mark.parametrize(
    ("version", "heeded"),
    [
        ("v1.36.3", "kubelet-config"),
        ("v1.24.0", "kubelet-config"),
        ("v1.23.5", "kubelet-config kubelet-config-1.23"),
    ],
)
def test_maps_that_kubeadm_left_behind_are_not_heeded(version: str, heeded: str) -> None:
    names = ("kubelet-config", *(f"kubelet-config-1.{minor}" for minor in range(20, 37)))
    maps = {name: {"kubelet": "featureGates: {CSIMigration: true}"} for name in names}
    given = of_maps(maps, cluster(version, "cp1"))
    assert [each.target for each in given.programs] == [
        f"ConfigMap kube-system/{each}" for each in heeded.split()
    ]


def test_settings_of_a_proxy_that_is_not_run_are_not_heeded() -> None:
    maps = {"kube-proxy": {"config.conf": "{mode: userspace, featureGates: {CSIMigration: true}}"}}
    assert of_maps(maps, RUNNING) == Given()
    proxy = Component(name=Name.PROXY, text="v1.36.3", node="cp1", pod="kube-system/kube-proxy-x")
    components = (*RUNNING.components, proxy)
    given = of_maps(maps, msgspec.structs.replace(RUNNING, components=components))
    assert {each.reason for each in refused_settings(given, 37, catalog())} == {
        "RemovedFlagValue",
        "RemovedFeatureGate",
    }


@pytest.mark.parametrize(
    ("component", "cloud", "gates", "last"),
    [
        ("apiServer", "aws", "", 28),
        ("controllerManager", "aws", "", 26),
        ("controllerManager", "aws", "DisableCloudProviders=false", 26),
        ("controllerManager", "gce", "", 28),
        ("controllerManager", "gce", "DisableCloudProviders=true", 28),
        ("controllerManager", "gce", "DisableCloudProviders=false", 30),
        ("apiServer", "vsphere", "DisableCloudProviders=false", 30),
        ("apiServer", "external", "", 32),
    ],
)
def test_clouds_are_refused_once_a_component_does_not_start_with_them(
    component: str, cloud: str, gates: str, last: int
) -> None:
    flags = {"cloud-provider": cloud, "feature-gates": gates}
    kubeadm = {component: {"extraArgs": flags}}
    given = of_maps({"kubeadm-config": {"ClusterConfiguration": json.dumps(kubeadm)}}, RUNNING)
    starts = [
        target for target in range(20, 33) if not [*refused_settings(given, target, catalog())]
    ]
    assert starts == list(range(20, last + 1))
