"""Finding and reading kubeconfigs, and every way for that to go wrong."""

import contextlib
import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from shipkeeper.kube.config import ConnectionOptions
from shipkeeper.kube.connection import connect
from shipkeeper.kube.errors import UnauthorizedError
from shipkeeper.kube.kubeconfig import ConfigError
from tests.kube.login import Files, nodes, refused
from tests.kube.marks import ON_NEWEST

pytestmark = pytest.mark.usefixtures("home")


@ON_NEWEST
async def test_the_kubeconfig_is_looked_for_where_kubectl_does(
    files: Files, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".kube").mkdir()
    files.write("home/.kube/config", files.admin)
    named = files.write("named", files.admin, server="none")
    assert await nodes() == 0
    monkeypatch.setenv("KUBECONFIG", str(files.write("variable", {"token": "false"})))
    with pytest.raises(UnauthorizedError):
        await nodes()
    assert await nodes(named) == 0


@ON_NEWEST
async def test_of_several_kubeconfigs_the_first_to_name_a_thing_wins(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [{"name": "admin", "user": files.admin}]
    rest: dict[str, Any] = {"current-context": "", "contexts": None, "clusters": None}
    first = files.write("first", {}, users=users, **rest)
    contexts = [
        {"name": "good", "context": {"cluster": "main", "user": "admin"}},
        {"name": "anonymous", "context": {"cluster": "main"}},
    ]
    second = files.write("second", {}, contexts=contexts, **{"current-context": "good"})
    worse = [{"name": "admin", "user": {"token": "false"}}]
    third = files.write("third", {}, users=worse, **{"current-context": "main"})
    absent = files.directory / "absent"
    listed = os.pathsep.join(map(str, (absent, first, second, third)))
    monkeypatch.setenv("KUBECONFIG", listed)
    assert await nodes() == 0
    assert await nodes(context="good") == 0
    with pytest.raises(UnauthorizedError):
        await nodes(context="anonymous")


@ON_NEWEST
async def test_a_kubeconfig_that_is_not_there_is_named(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = files.directory / "absent"
    error = await refused(absent)
    assert error.reason == "KubeconfigNotFound"
    assert error.message == f"no kubeconfig at {absent} (named by --kubeconfig)"
    monkeypatch.setenv("KUBECONFIG", f"{absent}{os.pathsep}{absent}2")
    error = await refused()
    assert error.message == f"no kubeconfig at {absent} (named by $KUBECONFIG)"


async def test_no_cluster_at_all_is_said() -> None:
    error = await refused()
    assert error.reason == "NoCluster"
    assert "this is not a pod" in error.message


async def test_half_a_pod_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    error = await refused()
    assert error.reason == "NoCluster"
    assert "Service token file does not exist" in error.message


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"current-context": ""}, "no current context is set"),
    ({"contexts": None}, "there is no context 'main'"),
    ({"clusters": []}, "context 'main' names cluster 'main', which is not there"),
    ({"users": []}, "context 'main' names user 'main', which is not there"),
    ({"contexts": "all"}, "Expected `array | null`, got `str` - at `$.contexts`"),
    ({"clusters": [{"name": "main", "cluster": {}}]}, "cluster 'main' has no server"),
]


@ON_NEWEST
@pytest.mark.parametrize(("changes", "why"), MISTAKES)
async def test_a_kubeconfig_that_does_not_hold_together_is_explained(
    files: Files, changes: dict[str, Any], why: str
) -> None:
    error = await refused(files.write("spoilt", files.admin, **changes))
    assert error.message.endswith(why) or f"{why} in the kubeconfig" in error.message


@ON_NEWEST
@pytest.mark.parametrize(
    ("login", "why"),
    [
        ({"client-certificate-data": "bm9uZQ==", "client-key-data": "bm9uZQ=="}, "cannot be used"),
        ({"client-certificate-data": "%"}, "client-certificate-data of 'main' is not base64"),
        ({"client-certificate": "gone.crt", "client-key": "gone.key"}, "gone.crt"),
        ({"tokenFile": "gone.token"}, "gone.token"),
        ({"auth-provider": {"name": "oidc"}}, "oidc"),
    ],
    ids=["no-pem", "no-base64", "no-certificate", "no-token-file", "no-oidc-settings"],
)
async def test_a_login_that_cannot_work_is_explained(
    files: Files, login: dict[str, Any], why: str
) -> None:
    error = await refused(files.write("spoilt", login))
    assert why in error.message


@ON_NEWEST
async def test_a_context_that_is_not_there_is_answered_with_those_that_are(files: Files) -> None:
    error = await refused(files.write("one", files.admin), context="prod")
    assert error.reason == "ContextNotFound"
    assert error.hint == "choose one with --context; there are: main"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"clusters:\n- name: a\n  : {", "not YAML"),
        (b"just words", "Expected `object`"),
        (b"", "no current context is set"),
        (b"\xff\xfe\x00binary", "not YAML"),
        (b"[" * 100_000, "not YAML: nested deeper than 200 levels"),
    ],
    ids=["broken", "words", "empty", "binary", "deep"],
)
async def test_a_file_that_is_no_kubeconfig_is_explained(
    tmp_path: Path, content: bytes, why: str
) -> None:
    path = tmp_path / "config"
    path.write_bytes(content)
    error = await refused(path)
    assert why in error.message
    assert str(path) in error.message


def _places(value: Any, *path: str | int) -> Iterator[tuple[str | int, ...]]:
    """The path of every value inside a document."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = cast("dict[str, Any]", value).items()
    elif isinstance(value, list):
        inner = enumerate(cast("list[Any]", value))
    for key, each in inner:
        yield (*path, key)
        yield from _places(each, *path, key)


DOCUMENT: dict[str, Any] = {
    "current-context": "c",
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    "clusters": [
        {
            "name": "c",
            "cluster": {
                "server": "https://127.0.0.1:1",
                "certificate-authority-data": "",
                "insecure-skip-tls-verify": True,
            },
        }
    ],
    "users": [
        {
            "name": "u",
            "user": {
                "token": "t",
                "tokenFile": "",
                "username": "u",
                "password": "p",
                "client-certificate": "",
                "client-key-data": "",
                "as": "j",
                "as-groups": ["g"],
                "as-user-extra": {"k": ["v"]},
                "auth-provider": {"name": "none", "config": {"id-token": "a.b.c"}},
                "exec": {"apiVersion": "v1", "command": "no/such/login", "env": [], "args": []},
            },
        }
    ],
}


PLACES = list(_places(DOCUMENT))


@given(
    place=st.sampled_from(PLACES),
    value=st.sampled_from([None, "", "x", "\n", 0, 1.5, True, [], ["x"], [None], {}, {"x": "y"}]),
    without=st.sets(st.sampled_from(["exec", "auth-provider", "token"])),
)
@settings(max_examples=150, deadline=None)
async def test_whatever_a_kubeconfig_holds_it_is_used_or_explained(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[Any, ...], value: Any, without: set[str]
) -> None:
    document = copy.deepcopy(DOCUMENT)
    for key in without:
        del document["users"][0]["user"][key]
    parent: Any = document
    with contextlib.suppress(LookupError):
        for key in place[:-1]:
            parent = parent[key]
        parent[place[-1]] = value
    path = tmp_path_factory.mktemp("fuzz") / "config"
    path.write_text(yaml.safe_dump(document))
    with contextlib.suppress(ConfigError):
        async with connect(ConnectionOptions(kubeconfig=str(path))) as connection:
            await connection.credentials.headers()
