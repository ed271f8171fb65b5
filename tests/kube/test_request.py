"""A request in the words of its authorization."""

import pytest

from shipkeeper.kube.request import RequestInfo


@pytest.mark.parametrize(
    ("method", "path", "words", "permission"),
    [
        ("GET", "/api/v1/nodes", "list nodes", "list nodes"),
        ("GET", "/api/v1/nodes/n1", 'get nodes "n1"', "get nodes"),
        ("DELETE", "/api/v1/nodes", "deletecollection nodes", "deletecollection nodes"),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/prod/deployments/web/scale",
            'patch deployments/scale "web" in namespace "prod"',
            "patch deployments --subresource=scale --namespace=prod",
        ),
        ("GET", "/api/v1/namespaces", "list namespaces", "list namespaces"),
        ("GET", "/api/v1/namespaces/prod", 'get namespaces "prod"', "get namespaces"),
        (
            "PUT",
            "/api/v1/namespaces/prod/finalize",
            'update namespaces/finalize "prod"',
            "update namespaces --subresource=finalize",
        ),
        ("GET", "/version", "get /version", "get /version"),
        ("GET", "/apis/policy/v1", "get /apis/policy/v1", "get /apis/policy/v1"),
    ],
)
def test_a_request_names_verb_and_target(
    method: str, path: str, words: str, permission: str
) -> None:
    info = RequestInfo.of(method, path)
    assert str(info) == words
    assert info.permission == permission


def test_a_watch_has_a_verb_of_its_own() -> None:
    asked = RequestInfo.of("GET", "/api/v1/namespaces/prod/pods", is_watch=True)
    assert str(asked) == 'watch pods in namespace "prod"'
