"""Every identity is listed once, with what it may reach and how it ends."""

import json
from pathlib import Path
from typing import Any

import msgspec

from shipkeeper.access.certs.certificate import parse_pem
from shipkeeper.access.policy import Policy
from shipkeeper.model.meta import KubeObject, ObjectMeta
from shipkeeper.model.rbac import Binding, RoleRef, Subject
from shipkeeper.sandbox.sandbox import Sandbox
from shipkeeper.users.inventory import Held, HeldRow, How, Sources, take_inventory
from shipkeeper.users.inventory_observe import observe
from shipkeeper.users.objects import SecretData
from shipkeeper.users.token_file import parse_token_file
from tests.access.certs.authority import CLIENT, authority, leaf
from tests.access.certs.host_seeds import Plan as HostPlan
from tests.access.certs.host_seeds import manifest, write_host
from tests.access.certs.local_host import LocalHost
from tests.access.certs.servers import servers
from tests.access.world import connected
from tests.cli.run import run_cli


def binding(name: str, role: str, *subjects: Subject, namespace: str = "") -> Binding:
    return Binding(
        metadata=ObjectMeta(name=name, namespace=namespace),
        role_ref=RoleRef(kind="ClusterRole", name=role),
        subjects=subjects,
    )


def test_each_is_who_it_is_and_reaches_what_bindings_give() -> None:
    issuer = authority("kubernetes")
    admin = leaf(issuer, names=(), cn="root", organizations=("system:masters",), usages=(CLIENT,))
    ann = leaf(issuer, names=(), cn="ann", organizations=("crew",), usages=(CLIENT,))
    held = (("a", admin), ("cp1:/x", admin), ("b", ann))
    rows = parse_token_file('-,bob,1,"crew,ops"\n').rows
    found = take_inventory(
        Sources(
            policy=Policy(
                bindings=(
                    binding("crew", "view", Subject(kind="Group", name="crew")),
                    binding("bob", "edit", Subject(kind="User", name="bob"), namespace="shop"),
                    binding("dora", "edit", Subject(kind="User", name="dora"), namespace="shop"),
                    binding("all", "basic", Subject(kind="Group", name="system:authenticated")),
                    binding("robots", "bots", Subject(kind="Group", name="system:serviceaccounts")),
                )
            ),
            certificates=tuple(
                Held(certificate=parse_pem(pair.certificate)[0], origin=origin)
                for origin, pair in held
            ),
            accounts=(KubeObject(metadata=ObjectMeta(name="robot", namespace="shop")),),
            secrets=(
                SecretData(
                    metadata=ObjectMeta(
                        name="robot-token-1",
                        namespace="shop",
                        annotations={"kubernetes.io/service-account.name": "robot"},
                    ),
                    type="kubernetes.io/service-account-token",
                ),
            ),
            rows=tuple(HeldRow(row=each, origin="cp1:/tokens.csv") for each in rows),
            answers={"/version": 401, "/api": 401},
        )
    )
    by_name = {each.name: each for each in found.items}
    assert set(by_name) == {"root", "ann", "bob", "dora", "system:serviceaccount:shop:robot"}
    assert by_name["root"].origin == "a, cp1:/x"
    assert by_name["root"].reach == ("everything (system:masters)",)
    assert not by_name["root"].is_revocable
    assert by_name["ann"].reach == ("clusterrole/view",)
    assert by_name["ann"].ends == parse_pem(ann.certificate)[0].not_after
    assert set(by_name["bob"].reach) == {"clusterrole/edit in shop", "clusterrole/view"}
    assert by_name["bob"].origin == "cp1:/tokens.csv line 1"
    assert by_name["dora"].how is How.UNKNOWN
    robot = by_name["system:serviceaccount:shop:robot"]
    assert "Secret robot-token-1" in robot.origin
    assert "delete Secret" in robot.revocation
    assert robot.reach == ()
    assert found.anonymous.is_let_in is False


async def test_a_cluster_s_identities_and_its_host_s(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "ann.kubeconfig"
    made = await run_cli(
        sandbox,
        *("users", "create", "ann-listed", "--how=certificate", "--group=crew-listed"),
        f"--write={path}",
    )
    assert made.returncode == 0, made.stderr
    host = LocalHost("cp1", tmp_path / "cp1")
    with servers() as nobody:
        write_host(host, HostPlan(servers=nobody))
    tokens = b'"very,secret",tok,1,"crew"\nplain-secret,ken,2\n'
    host.write("etc/tokens.csv", tokens)
    flags = {
        "token-auth-file": "/etc/kubernetes/tokens.csv",
        "client-ca-file": "/etc/kubernetes/pki/ca.crt",
    }
    manifest(host, "kube-apiserver", flags)
    async with connected(sandbox.kubeconfig) as connection:
        found = take_inventory(await observe(connection, {"cp1": host}))
    assert b"secret" not in b"".join(host.told)
    by_name = {each.name: each for each in found.items}
    assert by_name["ann-listed"].groups == ("crew-listed",)
    assert by_name["tok"].groups == ("crew",)
    assert by_name["ken"].how is How.TOKEN
    assert by_name["admin"].origin.count("cp1:/etc/kubernetes/") >= 3
    assert by_name["system:serviceaccount:kube-system:default"].is_revocable
    # A sandbox lets nobody in who does not say who they are.
    assert found.anonymous.is_let_in is False
    assert found.anonymous.answers["/version"] == 401
    assert any("/healthz" in rule for rule in found.anonymous.rules)
    assert any("selfsubjectaccessreviews" in rule for rule in found.everybody)


async def test_every_format(sandbox: Sandbox) -> None:
    done = await run_cli(sandbox, "users", "list")
    assert done.returncode == 0, done.stderr
    assert "REVOCABLE" in done.stdout
    assert "NOT CHECKED" in done.stdout
    named = await run_cli(sandbox, "users", "list", "-o", "name")
    assert "serviceaccount/system:serviceaccount:kube-system:default" in named.stdout.splitlines()
    told: Any = json.loads((await run_cli(sandbox, "users", "list", "-o", "json")).stdout)
    assert len(told["items"]) == len(named.stdout.splitlines())
    again = msgspec.yaml.decode((await run_cli(sandbox, "users", "list", "-o", "yaml")).stdout)
    assert {each["name"] for each in again["items"]} == {each["name"] for each in told["items"]}


async def test_who_may_see_nothing_is_told_so(sandbox: Sandbox, tmp_path: Path) -> None:
    path = tmp_path / "nobody.kubeconfig"
    words = ("users", "create", "nobody-listed", "--how=certificate", f"--write={path}")
    assert (await run_cli(sandbox, *words)).returncode == 0
    done = await run_cli(
        sandbox, "users", "list", "-o", "json", environment={"KUBECONFIG": str(path)}
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["items"] == []
    assert {"ServiceAccounts", "token Secrets", "RoleBinding", "hosts"} <= {
        each["what"] for each in told["unchecked"]
    }
