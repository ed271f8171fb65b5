"""Ways that no role opens: lines of ABAC, keys on hosts, a cloud's map, grants to everybody.

Each is found by the audit, and walked to its end on a real API server.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from shipkeeper.access.assembly import with_hosts
from shipkeeper.access.audit import audit
from shipkeeper.access.controls.host import HostSurvey
from shipkeeper.access.observe import observe
from shipkeeper.kube.connection import Connection
from shipkeeper.kube.errors import ForbiddenError, UnauthorizedError
from shipkeeper.sandbox import names
from shipkeeper.sandbox.sandbox import Sandbox
from tests.access import robbery
from tests.access.forgery import approve, forged
from tests.access.hooks import CLOUD_TOKEN, cloud
from tests.access.robber import MERGE, Robber, minted, soon, takes_prize, ways_of
from tests.access.servers import FurtherServer, further_server, with_credentials
from tests.access.ways import NAMESPACE, Rule, bound, granted, rule
from tests.access.world import connected, create, delete

_RBAC = "rbac.authorization.k8s.io"
_CSR = "certificates.k8s.io"
_ROLES = f"/apis/{_RBAC}/v1/clusterroles"


def line(name: str, resource: str, namespace: str, **more: object) -> str:
    head = {"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy"}
    spec = {"user": f"abac-{name}", "resource": resource, "namespace": namespace, **more}
    return msgspec.json.encode({**head, "spec": spec}).decode()


async def impersonate_boss(robber: Robber) -> None:
    await takes_prize(await robber.as_other("boss"))


# By name: the line, and the robbery that it lets somebody do.
LINES: dict[str, tuple[str, Callable[[Robber], Awaitable[None]]]] = {
    "users": (line("users", "users", "*"), impersonate_boss),
    "users-of-none": (line("users-of-none", "users", ""), impersonate_boss),
    "accounts": (line("accounts", "serviceaccounts", NAMESPACE), robbery.tokens),
    "secrets": (line("secrets", "secrets", "*", readonly=True), robbery.list_secrets),
    "lists": (line("lists", "secrets", "", readonly=True), robbery.list_secrets),
    "watches": (line("watches", "secrets", "*", readonly=True), robbery.watch_secrets),
    "pods": (line("pods", "pods", NAMESPACE), robbery.enter),
    "deployments": (
        line("deployments", "deployments", NAMESPACE, apiGroup="apps"),
        robbery.create_deployments,
    ),
    "nodes": (line("nodes", "nodes", ""), robbery.node_proxy),
    "roles": (line("roles", "*", "*", apiGroup=_RBAC), robbery.bind),
    "requests": (line("requests", "*", "", apiGroup=_CSR), approve),
}
LOOK_ALIKES: dict[str, tuple[str, str]] = {
    "one-namespace": (
        line("one-namespace", "users", NAMESPACE),
        "/api/v1/namespaces/kube-system/secrets/prize",
    ),
    "none": (line("none", "secrets", ""), "/api/v1/namespaces/kube-system/secrets"),
    "reads": (line("reads", "pods", "*", readonly=True), "/api/v1/secrets"),
}


@pytest.fixture(scope="module")
async def by_lines(
    newest: Sandbox, town: Connection, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[FurtherServer, str]]:
    """A server that decides by the lines first; and their text."""
    place = tmp_path_factory.mktemp("lines")
    file = place / "policy.jsonl"
    text = "\n".join(each for each, _ in (*LINES.values(), *LOOK_ALIKES.values()))
    file.write_text(text)
    flags = ["--authorization-mode=ABAC,RBAC", f"--authorization-policy-file={file}"]
    with further_server(newest, place / "server", flags) as server:
        yield server, text


@pytest.mark.parametrize("name", LINES)
async def test_a_line_of_abac_leads_there(
    by_lines: tuple[FurtherServer, str], town: Connection, name: str
) -> None:
    server, text = by_lines
    user = f"abac-{name}"
    found = await ways_of(town, f"user/{user}", text)
    assert {each.rule for each in found} == {"path-17"}
    number = list(LINES).index(name) + 1
    assert {each.remedy for each in found} == {f"take line {number} out of the ABAC policy"}
    kubeconfig = server.as_user(user)
    async with AsyncExitStack() as stack:
        own = await stack.enter_async_context(connected(kubeconfig))
        robber = Robber(server.sandbox, user, own, town, stack, kubeconfig=kubeconfig)
        await LINES[name][1](robber)


@pytest.mark.parametrize("name", LOOK_ALIKES)
async def test_a_line_that_leads_nowhere(
    by_lines: tuple[FurtherServer, str], town: Connection, name: str
) -> None:
    server, text = by_lines
    async with connected(server.as_user(f"abac-{name}")) as own:
        with pytest.raises(ForbiddenError):
            await own.send("GET", LOOK_ALIKES[name][1])
    # Over all namespaces at once a line for none counts all the same.
    assert bool(await ways_of(town, f"user/abac-{name}", text)) is (name == "none")


async def test_who_labels_a_role_gives_it_to_others(newest: Sandbox, town: Connection) -> None:
    """15: the holders of an aggregated role gain what somebody else adds to it."""
    whole, part = (bound(name, "", ())[0] for name in ("whole", "part"))
    whole["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {"add": "whole"}}]}
    part["rules"] = [rule("get", "secrets")]
    holder = granted("way-whole", "way-whole", {"kind": "User", "name": "way-whole"})
    await create(town, whole, part, holder)
    try:
        async with connected(newest.issue_kubeconfig("way-whole")) as own:
            with pytest.raises(ForbiddenError):
                await takes_prize(own)
            assert not await ways_of(town, "user/way-whole")
            change = {"metadata": {"labels": {"add": "whole"}}}
            path = f"{_ROLES}/way-part"
            await town.send("PATCH", path, body=change, content_type=MERGE)
            await soon(lambda: takes_prize(own))
        assert {each.rule for each in await ways_of(town, "user/way-whole")} == {"path-01"}
        joined = await ways_of(town, "clusterrole/way-part")
        assert "path-15" in {each.rule for each in joined}
    finally:
        await delete(town, whole, part, holder)


async def test_keys_of_a_control_plane_host(newest: Sandbox, town: Connection) -> None:
    """18: whoever can read its files is whoever they like."""
    layout, place = newest.layout, newest.kubeconfig.with_name("stolen")
    key, certificate = layout.key("ca").read_bytes(), newest.ca.read_bytes()
    stolen = forged(certificate, key, "thief", "system:masters")
    async with connected(with_credentials(newest.kubeconfig, place, stolen)) as thief:
        await takes_prize(thief)
    # The controller manager reads every Secret and makes tokens of every ServiceAccount.
    kubeconfig = layout.kubeconfig(names.CONTROLLER_MANAGER)
    async with AsyncExitStack() as stack:
        own = await stack.enter_async_context(connected(kubeconfig))
        await takes_prize(own)
        robber = Robber(newest, "manager", own, town, stack)
        token = await minted(robber, NAMESPACE, "mighty")
        await takes_prize(await robber.with_credentials(token=token))


async def test_the_controller_that_aggregates_roles(newest: Sandbox, town: Connection) -> None:
    """18: its token, which the controller manager's makes, rewrites any role."""
    role = bound("gathered", "", ())
    await create(town, *role)
    try:
        async with AsyncExitStack() as stack:
            manager = await stack.enter_async_context(
                connected(newest.layout.kubeconfig(names.CONTROLLER_MANAGER))
            )
            robber = Robber(newest, "way-gathered", manager, town, stack)
            token = await minted(robber, "kube-system", "clusterrole-aggregation-controller")
            everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
            controller = await robber.with_credentials(token=token)
            with pytest.raises(ForbiddenError):
                await takes_prize(controller)
            path, change = f"{_ROLES}/way-gathered", {"rules": [everything]}
            await controller.send("PATCH", path, body=change, content_type=MERGE)
            thief = await stack.enter_async_context(
                connected(newest.issue_kubeconfig("way-gathered"))
            )
            await soon(lambda: takes_prize(thief))
    finally:
        await delete(town, *role)


async def test_a_file_of_tokens(newest: Sandbox, town: Connection, tmp_path: Path) -> None:
    """18: whoever can read it is everybody who is in it; the benchmark tells of the flag."""
    file = tmp_path / "tokens.csv"
    file.touch(mode=0o600)
    file.write_text('read-by-a-thief,keeper,1,"system:masters"\n')
    flags = [f"--token-auth-file={file}", "--authorization-mode=Node,RBAC"]
    with further_server(newest, tmp_path / "server", flags) as server:
        stolen = server.bare("stolen", token=file.read_text().partition(",")[0])
        async with connected(stolen) as thief:
            await takes_prize(thief)
    host = HostSurvey(host="cp", commands={"kube-apiserver": ("kube-apiserver", *flags)})
    policy = with_hosts(await observe(town), host.static_pods(), host.texts)
    (told,) = [each for each in audit(policy, hosts=(host,)).findings if each.rule == "cis-1.2.2"]
    assert told.evidence == ("--token-auth-file is set",)


async def test_a_map_of_cloud_identities(newest: Sandbox, town: Connection, tmp_path: Path) -> None:
    """19: who may write aws-auth says who is an administrator."""
    arn = "arn:aws:iam::1:role/robber"
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "aws-auth", "namespace": "kube-system"},
        "data": {"mapRoles": "[]"},
    }
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "cloudy"}}
    role = bound("aws", "kube-system", (rule("patch", "configmaps", names="aws-auth"),))
    node["spec"] = {"providerID": "aws:///eu/i-1"}
    path = "/api/v1/namespaces/kube-system/configmaps"
    await town.send("POST", path, body=config)
    await create(town, node, *role)
    try:
        assert {each.rule for each in await ways_of(town, "user/way-aws")} == {"path-19"}
        async with AsyncExitStack() as stack:
            url, authority = await stack.enter_async_context(cloud(town))
            flags = _login_by(tmp_path, url, authority)
            server = stack.enter_context(further_server(newest, tmp_path / "server", flags))
            outsider = server.bare("outsider", token=f"{CLOUD_TOKEN}{arn}")
            thief = await stack.enter_async_context(connected(outsider))
            with pytest.raises(UnauthorizedError):
                await takes_prize(thief)
            own = await stack.enter_async_context(connected(newest.issue_kubeconfig("way-aws")))
            mapped = [{"rolearn": arn, "username": "robber", "groups": ["system:masters"]}]
            change = {"data": {"mapRoles": yaml.safe_dump(mapped)}}
            robber = Robber(newest, "way-aws", own, town, stack)
            await soon(lambda: robber.patch(f"{path}/aws-auth", change))
            await soon(lambda: takes_prize(thief))
    finally:
        await town.send("DELETE", f"{path}/aws-auth")
        await delete(town, node, *role)


def _login_by(place: Path, url: str, authority: bytes) -> list[str]:
    """The flags of a server that asks a webhook who bears a token."""
    (place / "hook.crt").write_bytes(authority)
    cluster = {"server": url, "certificate-authority": str(place / "hook.crt")}
    content: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "cloud", "cluster": cluster}],
        "users": [{"name": "api-server", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "cloud", "user": "api-server"}}],
        "current-context": "c",
    }
    (place / "hook.yaml").write_text(yaml.safe_dump(content))
    return [
        f"--authentication-token-webhook-config-file={place / 'hook.yaml'}",
        "--authentication-token-webhook-version=v1",
        "--authentication-token-webhook-cache-ttl=0s",
        "--authorization-mode=Node,RBAC",
    ]


EVERYBODY: dict[str, Rule] = {
    "nobody-in-particular": {"kind": "Group", "name": "system:unauthenticated"},
    "anonymous": {"kind": "User", "name": "system:anonymous"},
    "anybody-known": {"kind": "Group", "name": "system:authenticated"},
    "any-account": {"kind": "Group", "name": "system:serviceaccounts"},
}


@pytest.fixture(scope="module")
async def open_server(
    newest: Sandbox, town: Connection, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[FurtherServer]:
    """One that takes requests of nobody in particular, as servers do unless told otherwise."""
    flags = ["--anonymous-auth=true", "--authorization-mode=Node,RBAC"]
    with further_server(newest, tmp_path_factory.mktemp("open") / "server", flags) as server:
        yield server


@pytest.mark.parametrize("name", EVERYBODY)
async def test_a_grant_to_everybody(
    open_server: FurtherServer, town: Connection, name: str
) -> None:
    """20: nothing was given to whoever reads the Secret but by its being one of everybody."""
    role = bound("open", "", (rule("get", "secrets"),))[0]
    binding = granted("way-open", "way-open", EVERYBODY[name])
    async with AsyncExitStack() as stack:
        kubeconfig = await _stranger(open_server, town, stack, name)
        stranger = await stack.enter_async_context(connected(kubeconfig))
        with pytest.raises(ForbiddenError):
            await takes_prize(stranger)
        await create(town, role, binding)
        try:
            await soon(lambda: takes_prize(stranger))
            found = await ways_of(town, "clusterrolebinding/way-open")
            assert "path-20" in {each.rule for each in found}
        finally:
            await delete(town, role, binding)


async def _stranger(
    server: FurtherServer, admin: Connection, stack: AsyncExitStack, name: str
) -> Path:
    match name:
        case "anybody-known":
            return server.as_user("passer-by")
        case "any-account":
            robber = Robber(server.sandbox, "nobody", admin, admin, stack)
            return server.bare("account", token=await minted(robber, NAMESPACE, "default"))
        case _:
            return server.bare("anonymous")
