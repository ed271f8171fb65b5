"""What settings of kubelets, proxies and audit policies are told as, one by one."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from shipkeeper.access.assembly import with_hosts
from shipkeeper.access.certs.host import HostLook
from shipkeeper.access.controls.audit_policy import audit_policy_findings
from shipkeeper.access.controls.benchmark import benchmark
from shipkeeper.access.controls.host import KUBELET_CONFIG, USUAL_PLACES, HostFile, HostSurvey
from shipkeeper.access.controls.host_files import host_findings
from shipkeeper.access.controls.kubelets import kubelet_findings
from shipkeeper.engine.finding import Answer, Finding, Passed, Unchecked
from tests.access.ways import policy_with

_CONFIG = USUAL_PLACES[KUBELET_CONFIG]
_SORTS = {"fail": Finding, "pass": Passed, "none": Unchecked}


def kubelet(config: str | None, *flags: str, name: str = "h") -> HostSurvey:
    texts = {} if config is None else {_CONFIG: config}
    return HostSurvey(host=name, texts=texts, commands={"kubelet": ("/usr/bin/kubelet", *flags)})


def answer(answers: Sequence[Answer], id_: str) -> Answer:
    (found,) = [each for each in answers if each.rule == f"cis-{id_}"]
    return found


@pytest.mark.parametrize(
    ("id_", "config", "flags", "sort"),
    [
        # Without a file a kubelet is open; with an empty one it is not.
        ("4.2.1", None, (), "fail"),
        ("4.2.1", "{}", (), "pass"),
        ("4.2.1", "authentication: {anonymous: {enabled: true}}", (), "fail"),
        # A flag goes before the file.
        ("4.2.1", "authentication: {anonymous: {enabled: true}}", ("--anonymous-auth=0",), "pass"),
        ("4.2.1", "{}", ("--anonymous-auth",), "fail"),
        ("4.2.1", "{}", ("--anonymous-auth=1",), "fail"),
        ("4.2.2", None, (), "fail"),
        ("4.2.2", "authorization: {mode: AlwaysAllow}", (), "fail"),
        ("4.2.2", "{}", (), "pass"),
        ("4.2.3", "{}", (), "fail"),
        ("4.2.3", "{}", ("--client-ca-file", "/ca.crt"), "pass"),
        ("4.2.4", None, (), "fail"),
        ("4.2.4", "readOnlyPort: 10255", (), "fail"),
        ("4.2.4", "{}", (), "pass"),
        ("4.2.5", "{}", ("--streaming-connection-idle-timeout=0",), "fail"),
        ("4.2.5", "streamingConnectionIdleTimeout: 0s", (), "pass"),
        ("4.2.5", "streamingConnectionIdleTimeout: 5m", (), "pass"),
        ("4.2.6", "makeIPTablesUtilChains: false", (), "fail"),
        ("4.2.7", "{}", ("--hostname-override=other",), "fail"),
        ("4.2.8", "eventRecordQPS: 0", (), "fail"),
        ("4.2.9", "{}", (), "fail"),
        ("4.2.9", "tlsCertFile: /kubelet.crt", (), "pass"),
        ("4.2.10", "rotateCertificates: true", (), "pass"),
        ("4.2.10", "{}", (), "fail"),
        # Of a file that is not at hand nothing is known.
        ("4.2.1", None, ("--config=/var/lib/kubelet/config.yaml",), "none"),
        ("4.2.11", "{}", ("--feature-gates=RotateKubeletServerCertificate=false",), "fail"),
        ("4.2.11", "featureGates: {RotateKubeletServerCertificate: false}", (), "fail"),
        ("4.2.11", "{}", (), "pass"),
        ("4.2.12", "tlsCipherSuites: [TLS_RSA_WITH_3DES_EDE_CBC_SHA]", (), "fail"),
        ("4.2.12", "{}", (), "pass"),
        ("4.2.13", "{}", (), "fail"),
        ("4.2.13", "podPidsLimit: 100", (), "pass"),
        ("4.2.14", "seccompDefault: true", (), "pass"),
    ],
)
def test_settings_of_a_kubelet(
    id_: str, config: str | None, flags: tuple[str, ...], sort: str
) -> None:
    found = answer(list(kubelet_findings([kubelet(config, *flags)])), id_)
    assert isinstance(found, _SORTS[sort])


def test_one_bad_kubelet_among_good_ones() -> None:
    hosts = [kubelet("{}", name="good"), kubelet("readOnlyPort: 10255", name="bad")]
    found = answer(list(kubelet_findings(hosts)), "4.2.4")
    assert isinstance(found, Finding)
    assert found.evidence == ("bad: the read-only port is 10255",)


@pytest.mark.parametrize(
    ("config", "flags", "sort"),
    [
        ("metricsBindAddress: ''", (), "pass"),
        ("metricsBindAddress: 0.0.0.0:10249", (), "fail"),
        ("metricsBindAddress: 0.0.0.0", ("--metrics-bind-address=127.0.0.1:10249",), "pass"),
        ("", (), "none"),
    ],
)
def test_the_proxy_s_metrics(config: str, flags: tuple[str, ...], sort: str) -> None:
    commands = {"kube-proxy": ("kube-proxy", *flags)}
    host = HostSurvey(host="h", commands=commands, proxy_config=config)
    assert isinstance(answer(list(kubelet_findings([host])), "4.3.1"), _SORTS[sort])
    alone = list(kubelet_findings([HostSurvey(host="h")]))
    assert isinstance(answer(alone, "4.3.1"), Unchecked)


ALL = "{level: RequestResponse}"
CAREFUL = (
    "{level: Metadata, resources: [{resources: [secrets, configmaps]}, "
    "{group: authentication.k8s.io, resources: [tokenreviews]}]}"
)


@pytest.mark.parametrize(
    ("rules", "sort"),
    [
        (f"[{ALL}]", "fail"),
        (f"[{CAREFUL}, {ALL}]", "pass"),
        (f"[{ALL}, {CAREFUL}]", "fail"),
        ("[{level: Metadata}]", "pass"),
        ("[{level: None}]", "fail"),
        ("[]", "fail"),
        (f"[{{level: None, users: [a], resources: [{{resources: [secrets]}}]}}, {ALL}]", "fail"),
        ("[{level: Request, resources: [{group: apps}]}, {level: Metadata}]", "pass"),
        ("[{level: Request, resources: [{group: ''}]}, {level: Metadata}]", "fail"),
        ("[{level: Request, nonResourceURLs: ['/*']}, {level: Metadata}]", "pass"),
    ],
)
def test_audit_policies(rules: str, sort: str) -> None:
    host = HostSurvey(host="h", texts={"/a.yaml": f"rules: {rules}"})
    found = list(audit_policy_findings([(host, {"audit-policy-file": "/a.yaml"})], ""))
    assert isinstance(answer(found, "3.2.1"), Passed)
    assert isinstance(answer(found, "3.2.2"), _SORTS[sort])


def test_an_audit_policy_that_is_not_at_hand() -> None:
    host = HostSurvey(host="h")
    found = list(audit_policy_findings([(host, {"audit-policy-file": "/a.yaml"})], ""))
    assert isinstance(answer(found, "3.2.2"), Unchecked)
    found = list(audit_policy_findings([(host, {})], ""))
    assert isinstance(answer(found, "3.2.1"), Finding)
    assert isinstance(answer(found, "3.2.2"), Unchecked)


def test_what_flags_name_is_looked_at_where_it_is() -> None:
    flags = ("--config=/k/kubelet.yaml", "--kubeconfig", "/k/kubelet.conf")
    host = kubelet(None, *flags)
    host = msgspec.structs.replace(
        host,
        texts={"/k/kubelet.yaml": "authentication: {x509: {clientCAFile: /k/ca.crt}}"},
        files=tuple(
            HostFile(path=path, mode=mode, owner="root", group="root")
            for path, mode in (
                ("/k/kubelet.yaml", 0o600),
                ("/k/kubelet.conf", 0o666),
                ("/k/ca.crt", 0o644),
            )
        ),
    )
    found = list(host_findings([host]))
    assert isinstance(answer(found, "4.1.5"), Finding)
    assert isinstance(answer(found, "4.1.7"), Passed)
    assert isinstance(answer(found, "4.1.9"), Passed)
    # There need be no kubeconfig of a proxy.
    assert isinstance(answer(found, "4.1.3"), Passed)


def server(name: str, *flags: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "kube-system",
            "labels": {"component": "kube-apiserver"},
        },
        "spec": {"containers": [{"name": "a", "command": ["kube-apiserver", *flags]}]},
    }


def test_every_instance_of_a_component_counts() -> None:
    good, bad = server("a", "--profiling=false"), server("b", "--profiling=true")
    one, both = (list(benchmark(policy_with(*pods))) for pods in ((good,), (good, bad)))
    assert isinstance(answer(one, "1.2.15"), Passed)
    found = answer(both, "1.2.15")
    assert isinstance(found, Finding)
    assert found.evidence == ("--profiling is true",)


def test_a_host_that_was_not_reached_passes_nothing() -> None:
    good = kubelet("{}", "--client-ca-file=/ca.crt")
    assert good.is_node
    good = msgspec.structs.replace(good, commands={**good.commands, "kube-proxy": ("kube-proxy",)})
    good = msgspec.structs.replace(good, proxy_config="mode: iptables")
    away = HostSurvey(host="away", unreached="no answer")
    alone, both = list(host_findings([good])), list(host_findings([good, away]))
    assert any(isinstance(each, Passed) for each in alone)
    assert not [each for each in both if isinstance(each, Passed)]


_POD = "apiVersion: v1\nkind: Pod\n"
_DEEP = "[" * 5000


def test_broken_files_of_a_host_say_nothing() -> None:
    broken = (
        _DEEP,
        "- a",
        f"{_POD}metadata: 1",
        f"{_POD}metadata: {{name: kube-apiserver}}\nspec: 1",
    )
    texts = {f"/etc/kubernetes/manifests/{n}.yaml": text for n, text in enumerate(broken)}
    host = HostSurvey(host="h", texts={**texts, _CONFIG: _DEEP})
    policy = policy_with()
    assert with_hosts(policy, host.static_pods(), host.texts) == policy
    assert list(host_findings([host]))
    look = HostLook(name="h", manifests=texts, kubelet_config=_DEEP)
    assert look.flags("kube-apiserver") == {}
    assert look.flags("etcd") is None
    assert look.kubelet() == {}


def test_a_component_that_runs_without_a_manifest() -> None:
    command = ("/usr/local/bin/kube-apiserver", "--authorization-mode=Node,RBAC")
    host = HostSurvey(host="h", commands={"kube-apiserver": command})
    (pod,) = host.static_pods()
    assert pod["metadata"]["labels"] == {"component": "kube-apiserver"}
    found = list(host_findings([host]))
    assert isinstance(answer(found, "3.2.1"), Finding)
