"""What is taken off an object to create it again: exactly what the facts name, and no more."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipkeeper.backup.strip import strip

Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)
SERVER_SET = {
    "resourceVersion": "7",
    "uid": "u",
    "creationTimestamp": "2026-01-01T00:00:00Z",
    "generation": 3,
    "selfLink": "/x",
    "deletionTimestamp": "2026-01-02T00:00:00Z",
    "deletionGracePeriodSeconds": 30,
    "managedFields": [{"manager": "x"}],
}


def custom(**fields: Any) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "a"}, **fields}


@given(spec=st.dictionaries(st.text(max_size=5), Json, max_size=4))
def test_of_a_custom_resource_only_status_and_metadata_of_the_server_go(
    spec: dict[str, Any],
) -> None:
    wanted = custom(spec=spec)
    given_ = custom(spec=spec, status={"phase": "Up"})
    given_["metadata"] = {"name": "a", **SERVER_SET}
    before = copy.deepcopy(given_)
    assert strip(given_, "example.com") == wanted
    assert given_ == before
    assert strip(strip(given_, "example.com"), "example.com") == wanted


def test_empty_maps_and_lists_stay() -> None:
    policy: dict[str, Any] = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "a", "labels": {}},
        "spec": {"podSelector": {}, "ingress": []},
    }
    assert strip(policy, "networking.k8s.io") == policy


def test_a_deletion_under_way_does_not_go_on() -> None:
    metadata = {"name": "a", "finalizers": ["foregroundDeletion", "x.com/keep"], **SERVER_SET}
    stripped = strip({**custom(), "metadata": metadata}, "example.com")
    assert stripped["metadata"] == {"name": "a", "finalizers": ["x.com/keep"]}


def service(**spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": spec}


def test_addresses_of_services_are_given_anew_but_for_headless_ones() -> None:
    given_ = service(clusterIP="10.0.0.1", clusterIPs=["10.0.0.1"], ports=[])
    assert strip(given_, "")["spec"] == {"ports": []}
    headless = service(clusterIP="None", clusterIPs=["None"])
    assert strip(headless, "") == headless


@pytest.mark.parametrize("how", ["", "applied", "managed"])
def test_node_ports_stay_if_somebody_asked_for_them(how: str) -> None:
    given_ = service(ports=[{"port": 80, "nodePort": 30080, "protocol": "TCP"}])
    if how == "applied":
        applied = '{"spec":{"ports":[{"port":80,"nodePort":30080}]}}'
        key = "kubectl.kubernetes.io/last-applied-configuration"
        given_["metadata"]["annotations"] = {key: applied}
    if how == "managed":
        ports: dict[str, Any] = {'k:{"port":80,"protocol":"TCP"}': {"f:nodePort": {}}}
        given_["metadata"]["managedFields"] = [{"fieldsV1": {"f:spec": {"f:ports": ports}}}]
    kept = "nodePort" in strip(given_, "")["spec"]["ports"][0]
    assert kept is bool(how)


def test_claims_lose_their_binding_if_the_volume_was_provisioned() -> None:
    def claim(**annotations: str) -> dict[str, Any]:
        metadata = {"name": "a", "annotations": annotations}
        return {"kind": "PersistentVolumeClaim", "metadata": metadata, "spec": {"volumeName": "v"}}

    provisioned = {"volume.kubernetes.io/storage-provisioner": "x"}
    bound = {"pv.kubernetes.io/bind-completed": "yes", "pv.kubernetes.io/bound-by-controller": "y"}
    dynamic = strip(claim(**provisioned, **bound, mine="1"), "")
    assert dynamic["spec"] == {}
    assert dynamic["metadata"] == {"name": "a", "annotations": {"mine": "1"}}
    assert strip(claim(**bound), "")["spec"] == {"volumeName": "v"}


def test_jobs_lose_what_the_server_selects_their_pods_by() -> None:
    labels = {"controller-uid": "u", "batch.kubernetes.io/controller-uid": "u", "app": "x"}
    job: dict[str, Any] = {
        "kind": "Job",
        "metadata": {"name": "a", "labels": dict(labels)},
        "spec": {
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
            "template": {"metadata": {"labels": dict(labels)}},
        },
    }
    stripped = strip(job, "batch")
    assert stripped["spec"] == {"template": {"metadata": {"labels": {"app": "x"}}}}
    assert stripped["metadata"]["labels"] == {"app": "x"}
    manual = copy.deepcopy(job)
    manual["spec"]["manualSelector"] = True
    assert strip(manual, "batch")["spec"] == manual["spec"]


def test_pods_lose_their_node_and_their_token() -> None:
    pod: dict[str, Any] = {
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {
            "nodeName": "n",
            "priority": 0,
            "serviceAccountName": "robot",
            "volumes": [
                {"name": "robot-token-x7", "secret": {"secretName": "robot-token-x7"}},
                {"name": "kube-api-access-q", "projected": {}},
                {"name": "data", "emptyDir": {}},
            ],
            "containers": [
                {"name": "c", "volumeMounts": [{"name": "robot-token-x7"}, {"name": "data"}]}
            ],
        },
    }
    spec = strip(pod, "")["spec"]
    assert spec == {
        "serviceAccountName": "robot",
        "volumes": [{"name": "data", "emptyDir": {}}],
        "containers": [{"name": "c", "volumeMounts": [{"name": "data"}]}],
    }


def test_tokens_of_the_old_cluster_are_void() -> None:
    uid = "kubernetes.io/service-account.uid"
    account = "kubernetes.io/service-account.name"
    secret: dict[str, Any] = {
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "a", "annotations": {uid: "u", account: "robot"}},
        "data": {"token": "eA==", "ca.crt": "eA==", "namespace": "eA==", "extra": "eA=="},
    }
    stripped = strip(secret, "")
    assert stripped["metadata"]["annotations"] == {account: "robot"}
    assert stripped["data"] == {"extra": "eA=="}


def test_definitions_preserve_unknown_fields_by_their_schemas() -> None:
    definition: dict[str, Any] = {
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "a"},
        "spec": {"preserveUnknownFields": True, "versions": [{"name": "v1"}]},
    }
    (version,) = strip(definition, "apiextensions.k8s.io")["spec"]["versions"]
    assert version["schema"]["openAPIV3Schema"] == {
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": True,
    }
