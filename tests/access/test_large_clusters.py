"""A policy of a large cluster: of its pods only that is kept which is asked for, and once."""

from typing import Any

import msgspec

from shipkeeper.access import references
from shipkeeper.access.assembly import type_of
from shipkeeper.access.kinds import POD
from shipkeeper.model.loose import LooseObject


def pod(name: str) -> LooseObject:
    token = {
        "name": f"kube-api-access-{name}",
        "projected": {"sources": [{"secret": {"name": "token"}}, {"configMap": {"name": "ca"}}]},
    }
    container: dict[str, Any] = {
        "name": "c",
        "resources": {"requests": {"cpu": "1"}},
        "volumeMounts": [{"name": token["name"], "mountPath": "/token"}],
        "securityContext": {"privileged": True},
        "env": [{"name": "K", "valueFrom": {"secretKeyRef": {"name": "env", "key": "k"}}}],
    }
    manifest = {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "nodeName": f"node-of-{name}",
            "tolerations": [{"operator": "Exists"}],
            "volumes": [token],
            "containers": [container],
            "resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gpus"}],
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True"}],
            "resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": f"gpu-of-{name}"}],
        },
    }
    found = msgspec.json.decode(msgspec.json.encode(manifest), type=type_of(POD))
    assert isinstance(found, LooseObject)
    return found


def test_nothing_is_lost_that_is_asked_for() -> None:
    found = pod("a")
    assert found.spec["nodeName"] == "node-of-a"
    assert found.spec["containers"][0]["securityContext"] == {"privileged": True}
    assert references.secrets(found.spec) == {"token", "env"}
    assert references.config_maps(found.spec) == {"ca"}
    assert references.resource_claims(found) == {"gpu-of-a"}


def test_what_nobody_asks_for_is_not_kept() -> None:
    found = pod("a")
    assert set(found.status) == {"resourceClaimStatuses"}
    assert "tolerations" not in found.spec
    assert not {"resources", "volumeMounts"} & set(found.spec["containers"][0])


def test_what_is_equal_in_many_pods_is_there_once() -> None:
    one, other = pod("a"), pod("b")
    for key, part in (("volumes", "projected"), ("containers", "securityContext")):
        assert one.spec[key][0][part] is other.spec[key][0][part]
    assert one.spec["volumes"][0]["name"] != other.spec["volumes"][0]["name"]


def test_nonsense_is_left_to_whoever_judges_it() -> None:
    manifest = {"metadata": {"name": "a"}, "spec": {"containers": "none", "volumes": [1]}}
    found = msgspec.convert(manifest, type=type_of(POD))
    assert isinstance(found, LooseObject)
    assert found.spec == {"containers": "none", "volumes": [1]}
