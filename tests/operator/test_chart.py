"""The Helm chart: it says what `shipkeeper operator manifests` says, and cannot drift from it."""

import json
import runpy
from typing import Any

import msgspec
import pytest
import yaml

from shipkeeper import __version__
from shipkeeper.cli.schedule_flags import EmitFlags
from shipkeeper.model.version import Version
from shipkeeper.operator.api.kind import CustomObject
from shipkeeper.operator.grants import EXTRAS, only_looks
from shipkeeper.operator.manifests import ManifestOptions, manifests, permissions
from shipkeeper.operator.measures import Measures
from shipkeeper.operator.run import LEASE
from tests.operator.helm import CHART, helm

_ACCOUNT = "ServiceAccount"
_VERSIONS = ("1.20.2", "1.25.0", "1.37.2")


def rendered(*arguments: str, version: str = "1.37.2") -> dict[tuple[str, str, str], Any]:
    """What `helm template` makes, by kind, namespace and name."""
    answer = helm(
        "template",
        "keeper",
        str(CHART),
        "--namespace=shipkeeper-system",
        f"--kube-version={version}",
        *arguments,
    )
    assert answer.returncode == 0, answer.stderr
    return _by_name(yaml.safe_load_all(answer.stdout))


def _by_name(found: Any) -> dict[tuple[str, str, str], Any]:
    return {
        (each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"]): each
        for each in found
        if each
    }


def test_helm_lint_finds_nothing() -> None:
    answer = helm("lint", "--strict", str(CHART))
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("version", _VERSIONS)
def test_the_chart_and_the_command_say_the_same(version: str) -> None:
    options = ManifestOptions(
        version=Version.parse(version),
        image=f"shipkeeper:{__version__}",
        lease=LEASE,
        allowed=tuple(EXTRAS),
        host_pods="kube-system",
        traces="http://collector.observability:4318",
        trace_headers="collector-key",
    )
    expected = _by_name(manifests(options))
    # Helm makes the namespace itself.
    del expected["Namespace", "", "shipkeeper-system"]
    everything = [f"--set=permissions.{each}=true" for each in _values("permissions")]
    found = rendered(
        *everything,
        "--set=hostPods.namespace=kube-system",
        "--set=traces.endpoint=http://collector.observability:4318",
        "--set=traces.headersSecret=collector-key",
        "--set=crds.keep=false",
        version=version,
    )
    for each in found.values():
        if each["kind"] == "Deployment":
            [container] = each["spec"]["template"]["spec"]["containers"]
            assert container.pop("imagePullPolicy") == "IfNotPresent"
    assert found.keys() == expected.keys()
    for key, manifest in expected.items():
        assert found[key] == manifest, key


def test_the_chart_and_the_command_say_the_same_of_one_that_only_looks() -> None:
    looks = tuple(each for each in EXTRAS if only_looks(each))
    options = ManifestOptions(
        version=Version(1, 37, 2), image="", lease=LEASE, allowed=looks, read_only=True
    )
    expected = {each["metadata"]["name"]: each for each in permissions(options) if "rules" in each}
    switches = [f"--set=permissions.{camel(each)}=true" for each in looks]
    found = rendered("--set=readOnly=true", *switches).values()
    assert {each["metadata"]["name"]: each for each in found if "rules" in each} == expected


def camel(name: str) -> str:
    first, *rest = name.split("-")
    return first + "".join(map(str.capitalize, rest))


def _values(section: str) -> list[str]:
    return list(yaml.safe_load((CHART / "values.yaml").read_text())[section])


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [("https://collector", 443), ("http://collector/otlp", 80), ("http://[fd00::1]:4318", 4318)],
)
def test_traces_get_out(endpoint: str, port: int) -> None:
    options = ManifestOptions(version=Version(1, 37, 2), image="", lease=LEASE, traces=endpoint)
    key = ("NetworkPolicy", "shipkeeper-system", "shipkeeper-operator")
    for made in (rendered(f"--set=traces.endpoint={endpoint}"), _by_name(manifests(options))):
        ways = made[key]["spec"]["egress"][0]["ports"]
        assert ways[-1] == {"protocol": "TCP", "port": port}


def test_the_image_has_what_traces_take() -> None:
    assert "'.[traces]'" in (CHART.parent.parent / "Containerfile").read_text()


def test_the_generated_templates_are_up_to_date() -> None:
    tool = runpy.run_path(str(CHART.parent.parent / "tools" / "chart.py"))
    for name, text in tool["templates"]().items():
        assert (CHART / "templates" / name).read_text() == text, "run: make chart"


def test_definitions_outlive_the_release_unless_told_otherwise() -> None:
    kept = [each for key, each in rendered().items() if key[0] == "CustomResourceDefinition"]
    assert kept
    assert all(
        each["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"} for each in kept
    )
    without = rendered("--set=crds.install=false")
    assert not any(key[0] == "CustomResourceDefinition" for key in without)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("replicas=0", "replicas"),
        ("replicas=many", "replicas"),
        ("permissions.everything=true", "everything"),
        ("hostPods.namespace=Kube_System", "namespace"),
        ("readOnly=true,hostPods.namespace=kube-system", "namespace"),
        ("image.repository=", "repository"),
        ("traces.endpoint=collector:4318", "endpoint"),
        ("traces.endpoint=https://me:secret@collector", "endpoint"),
        ("typo=1", "typo"),
    ],
)
def test_values_that_make_no_sense_are_refused(setting: str, said: str) -> None:
    answer = helm("template", "keeper", str(CHART), f"--set={setting}")
    assert answer.returncode != 0
    assert said in answer.stderr


@pytest.mark.parametrize("extra", [each for each in EXTRAS if not only_looks(each)])
def test_one_that_only_looks_is_allowed_nothing_else(extra: str) -> None:
    setting = f"--set=readOnly=true,permissions.{camel(extra)}=true"
    answer = helm("template", "keeper", str(CHART), setting)
    assert answer.returncode != 0
    assert camel(extra) in answer.stderr


def test_alerts_and_dashboard_ask_for_metrics_that_there_are() -> None:
    served = {
        line.split()[2] for line in exposed().splitlines() if line.startswith("# TYPE shipkeeper")
    }
    alerts = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    asked = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    dashboard = json.loads((CHART / "files" / "dashboard.json").read_text())
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    words = {
        word
        for expression in asked
        for word in expression.replace("(", " ").replace("{", " ").replace("[", " ").split()
        if word.startswith("shipkeeper_")
    }
    assert {word.rstrip(")") for word in words} <= served
    made = rendered("--set=monitoring.alerts=true,monitoring.dashboard=true")
    rule = made["PrometheusRule", "shipkeeper-system", "shipkeeper-operator"]
    assert rule["spec"] == alerts
    shown = made["ConfigMap", "shipkeeper-system", "shipkeeper-dashboard"]
    assert json.loads(shown["data"]["shipkeeper.json"]) == dashboard


def test_who_leads_no_more_tells_nothing_of_objects() -> None:
    measures = _measured()
    measures.lead()
    assert "shipkeeper_operator_leader 1.0" in measures.expose()
    measures.stand_by()
    told = [each for each in measures.expose().splitlines() if not each.startswith("#")]
    assert "shipkeeper_operator_leader 0.0" in told
    assert "shipkeeper_operator_leader_transitions_total 1" in told
    assert [each for each in told if 'name="' in each or "_objects" in each] == []
    assert not any(each.startswith("shipkeeper_operator_queue_depth") for each in told)


def exposed() -> str:
    """What the operator serves once it has done everything once."""
    return _measured().expose()


def _measured() -> Measures:
    measures = Measures()
    with measures.reconciling("NodeMaintenance") as measure:
        measure.fail("Error")
    measures.depth("NodeMaintenance", 1)
    measures.gauges["shipkeeper_maintenance_nodes_done"] = {"a": 1}
    measures.gauges["shipkeeper_maintenance_nodes_total"] = {"a": 2}
    measures.gauges["shipkeeper_backup_repository_reachable"] = {"a": 1}
    last_success = "shipkeeper_backup_schedule_last_success_timestamp_seconds"
    measures.gauges[last_success] = {"a": 1}
    measures.gauges["shipkeeper_backup_schedule_times_without_success"] = {"a": 0}
    measures.count("NodeMaintenance", {"a": _object()})
    return measures


def _object() -> CustomObject:
    return msgspec.json.decode(b'{"metadata":{"name":"a"}}', type=CustomObject)


def test_the_container_runs_as_nobody_and_writes_to_its_memory_alone() -> None:
    made = rendered()
    pod = made["Deployment", "shipkeeper-system", "shipkeeper-operator"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    # A volume of its own would keep its node from being drained.
    assert "volumes" not in pod
    assert {"name": "XDG_STATE_HOME", "value": "/dev/shm"} in container["env"]


def test_jobs_have_an_account_that_no_emitted_cronjob_has() -> None:
    accounts = {
        name for kind, _, name in rendered("--set=permissions.backupJobs=true") if kind == _ACCOUNT
    }
    assert accounts == {"shipkeeper-operator", "shipkeeper-backup-jobs"}
    assert EmitFlags().emit_name not in accounts
