"""The access page answers what the cluster would, says what it could not read, and leads on."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from shipkeeper.sandbox.sandbox import Sandbox
from tests.nodes.world import World
from tests.web.served import Served, Tab, tab_of
from tests.web.visitors import rule, served_to_all, token_of, visitor

_RBAC = "rbac.authorization.k8s.io"
_READS_RBAC = rule("list", "roles,clusterroles,rolebindings,clusterrolebindings", _RBAC)
_HOSTILE = "<script>alert('x')</script>"


async def ask(tab: Tab, what: str, **query: str) -> Any:
    status, body = await tab.get(f"/api/access/{what}?{urlencode(query)}")
    assert status == 200, body
    return body


async def bind(world: World, role: str, *, user: str, rules: list[dict[str, Any]]) -> str:
    """A role of the world's namespace, and a binding of it to a user; returns the binding."""
    base = f"/apis/{_RBAC}/v1/namespaces/{world.name}"
    await world.connection.send(
        "POST", f"{base}/roles", body={"metadata": {"name": role}, "rules": rules}
    )
    body = {
        "metadata": {"name": role},
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": role},
        "subjects": [{"kind": "User", "apiGroup": _RBAC, "name": user}],
    }
    await world.connection.send("POST", f"{base}/rolebindings", body=body)
    return f"rolebinding/{world.name}/{role}"


async def test_who_can_names_whom_the_cluster_lets(console: Served, world: World) -> None:
    binding = await bind(world, "reader", user="carl", rules=[rule("get", "secrets")])
    async with tab_of(console) as tab:
        found = await ask(tab, "who-can", q=f"get secrets -n {world.name}", find="carl")
        (holder,) = found["holders"]
        assert (holder["name"], holder["namespace"]) == ("carl", world.name)
        assert binding in holder["by"]
        assert found["total"] > found["matching"] == 1
        # Without a namespace it is about any.
        anywhere = await ask(tab, "who-can", q="get secrets", find=f"carl {world.name}")
        assert [each["name"] for each in anywhere["holders"]] == ["carl"]
        for verb, allowed in (("get", True), ("delete", False)):
            query = {"q": f"{verb} secrets -n {world.name}", "who": "user/carl"}
            explained = (await ask(tab, "explain", **query))["explained"]
            assert explained["allowed"] is allowed is await allows(world, "carl", verb)


async def allows(world: World, user: str, verb: str) -> bool:
    """The API server's own word."""
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "LocalSubjectAccessReview",
        "metadata": {"namespace": world.name},
        "spec": {
            "user": user,
            "resourceAttributes": {
                "namespace": world.name,
                "verb": verb,
                "resource": "secrets",
            },
        },
    }
    path = f"/apis/authorization.k8s.io/v1/namespaces/{world.name}/localsubjectaccessreviews"
    return b'"allowed":true' in bytes(await world.connection.send("POST", path, body=body))


async def test_a_yes_is_a_path_and_a_no_comes_near(console: Served, world: World) -> None:
    binding = await bind(world, "reader", user="carl", rules=[rule("get", "secrets")])
    async with tab_of(console) as tab:
        yes = await ask(tab, "explain", q=f"get secrets -n {world.name}", who="carl")
        path = yes["explained"]["path"]
        assert [each["kind"] for each in path] == [
            *("User", "Authorizer", "Binding", "Role", "Rule", "Request")
        ]
        assert path[2]["name"] == binding
        no = (await ask(tab, "explain", q=f"list secrets -n {world.name}", who="carl"))["explained"]
        assert (no["allowed"], no["known"], no["path"]) == (False, True, [])
        assert "verb list" in no["found"]["nearMisses"][0]["mend"]
        masters = await ask(tab, "explain", q="delete nodes", who="group/system:masters")
        assert masters["explained"]["allowed"]
        oneself = await ask(tab, "explain", q="delete nodes")
        assert oneself["explained"]["allowed"]


async def test_the_graph_can_be_walked_to_a_goal(console: Served, world: World) -> None:
    binding = await bind(world, "maker", user="mia", rules=[rule("create", "pods")])
    async with tab_of(console) as tab:
        ways = await ask(tab, "escalation", find=binding)
        assert {each["target"] for each in ways["findings"]} == {"user/mia"}
        goals = {each["goal"] for each in ways["findings"]}
        start = (await ask(tab, "place", kind="User", name="mia"))["crossing"]
        assert {each["goal"] for each in start["ahead"]} == goals
        place = start
        for _ in range(6):
            onward = place["onward"][0]
            if onward["kind"] == "Goal":
                break
            # What comes first is nearest to a goal, and each step comes one nearer.
            steps = min(each["steps"] for each in onward["ahead"])
            query = {"kind": onward["kind"], "name": onward["name"]}
            place = (await ask(tab, "place", **query))["crossing"]
            assert min(each["steps"] for each in place["ahead"]) == steps
        assert place["onward"][0]["kind"] == "Goal"
        status, body = await tab.get("/api/access/place?kind=Nonsense&name=x")
        assert (status, body["reason"]) == (400, "NoPlace")


async def test_the_matrix_is_hotter_for_who_may_do_more(console: Served, world: World) -> None:
    await bind(world, "little", user=f"{world.name}-a", rules=[rule("get", "pods")])
    await bind(world, "all", user=f"{world.name}-b", rules=[rule("*", "pods")])
    async with tab_of(console) as tab:
        query = {"namespace": world.name, "resources": "pods,secrets", "q": f"User/{world.name}"}
        found = (await ask(tab, "matrix", **query))["matrix"]
        assert found["resources"] == ["pods", "secrets"]
        assert {row["name"]: [cell["heat"] for cell in row["cells"]] for row in found["rows"]} == {
            f"{world.name}-b": [5, 0],
            f"{world.name}-a": [1, 0],
        }
        nobody = (await ask(tab, "matrix", q="nobody-is-called-so"))["matrix"]
        assert nobody["rows"] == []


async def test_certificates_are_seen_with_their_end(console: Served) -> None:
    async with tab_of(console) as tab:
        seen = await ask(tab, "certificates")
        assert {"port", "kubeconfig"} <= {each["kind"] for each in seen["rows"]}
        ends = [each["notAfter"] for each in seen["rows"]]
        assert ends == sorted(ends)
        assert seen["findings"]["passed"]
        # It is kept a while; asked for anew, it is looked at again.
        assert (await ask(tab, "certificates"))["seenAt"] == seen["seenAt"]
        assert (await ask(tab, "certificates", anew="true"))["seenAt"] > seen["seenAt"]


@pytest.mark.parametrize(
    "text",
    ["", "get", "get secrets a b", "get secrets --as x", "get secrets -n", "get /x y", "x " * 900],
)
async def test_a_question_that_makes_no_sense_is_said(console: Served, text: str) -> None:
    async with tab_of(console) as tab:
        for what in ("who-can", "explain"):
            status, body = await tab.get(f"/api/access/{what}?{urlencode({'q': text})}")
            assert (status, body["reason"]) == (400, "InvalidQuestion")
            assert body["hint"]


async def test_hostile_names_are_text(console: Served, world: World) -> None:
    await bind(world, "reader", user=_HOSTILE, rules=[rule("get", "secrets")])
    async with tab_of(console) as tab:
        found = await ask(tab, "who-can", q=f"get secrets -n {world.name}", find="alert")
        assert [each["name"] for each in found["holders"]] == [_HOSTILE]
        for path in (f"explain?{urlencode({'q': _HOSTILE + ' ' + _HOSTILE, 'who': _HOSTILE})}",):
            async with tab.http.get(f"{tab.url}/api/access/{path}") as response:
                assert response.status == 200
                assert response.content_type == "application/json"
                assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_who_may_not_read_the_policy_is_told_what_is_missing(
    newest: Sandbox, world: World, tmp_path: Path
) -> None:
    little = await token_of(world, "little", _READS_RBAC)
    nothing = await token_of(world, "nothing")
    async with served_to_all(newest, tmp_path) as console:
        async with visitor(console, little) as tab:
            head = await ask(tab, "policy")
            assert "list pods" in {each["canI"] for each in head["missing"]}
            assert "Role" not in {each["what"] for each in head["gaps"]}
            found = await ask(tab, "who-can", q="get nodes")
            assert found["total"] > 0
            assert {each["what"] for each in found["gaps"]} >= {"Pod"}
        async with visitor(console, nothing) as tab:
            head = await ask(tab, "policy")
            assert {"Role", "ClusterRoleBinding"} <= {each["what"] for each in head["gaps"]}
            assert head["subjects"] == []
            seen = await ask(tab, "certificates")
            assert any("secrets" in each["why"] for each in seen["findings"]["unchecked"])


async def test_a_stranger_learns_nothing(console: Served) -> None:
    async with tab_of(console, logs_in=False) as tab:
        for what in ("policy", "who-can", "explain", "escalation", "place", "matrix"):
            status, body = await tab.get(f"/api/access/{what}?q=get+secrets&kind=User&name=a")
            assert (status, body["reason"]) == (401, "NoSession")
        assert (await tab.get("/api/access/certificates"))[0] == 401
