"""What the objects of a large cluster have in common is in memory once."""

import msgspec

from shipkeeper.model.pod import Pod

_OWNER = b'{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "1"}'
_POD = (
    b'{"metadata": {"name": "%s", "namespace": "shop-of-horrors", "ownerReferences": ['
    + _OWNER
    + b']}, "spec": {"tolerations": [{"key": "node.kubernetes.io/not-ready"}]},'
    b' "status": {"conditions": [{"type": "Ready", "status": "True"}]}}'
)


def test_two_pods_of_one_owner_share_what_they_have_in_common() -> None:
    """Equal parts are the same object; what is a pod's own is not touched."""
    one, other = (msgspec.json.decode(_POD % name, type=Pod) for name in (b"a", b"b"))
    assert one.metadata.owner_references is other.metadata.owner_references
    assert one.namespace is other.namespace
    assert one.spec.tolerations is other.spec.tolerations
    assert one.status.conditions[0].type is other.status.conditions[0].type
    assert (one.name, other.name) == ("a", "b")
    assert one.metadata.owner_references[0].kind == "ReplicaSet"
