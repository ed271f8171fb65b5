"""The stages of a rotation as they lie on hosts: who trusts whom, and whose key is where."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from shipkeeper.access.certs.certificate import Certificate, parse_pem
from shipkeeper.access.certs.chain import why_untrusted
from shipkeeper.access.certs.renew import programs
from shipkeeper.access.certs.renew.leaves import (
    KUBELET,
    Authority,
    leaves_of,
    signers_of,
    trusted_by,
)
from shipkeeper.access.certs.renew.plan import Seen
from shipkeeper.access.certs.renew.reach import look, run_on
from shipkeeper.access.certs.renew.site import watched_ports
from shipkeeper.access.certs.rotate import programs as rotation_programs
from shipkeeper.access.certs.rotate.cluster import ClusterSeen
from shipkeeper.access.certs.rotate.outlook import Place, Request, outlook_of
from shipkeeper.access.certs.rotate.plan import plan_stage, standing
from shipkeeper.access.certs.rotate.procedure import keep_of
from shipkeeper.access.certs.rotate.staging import Rotation, make_authority, stage
from shipkeeper.access.certs.rotate.standing import Stage, next_stage, read_kept
from shipkeeper.engine.plan import Plan
from shipkeeper.errors import UsageError
from tests.access.certs.authority import CLIENT, leaf
from tests.access.certs.host_seeds import CLUSTER, ETCD, FRONT, kubeconfig, write_host
from tests.access.certs.host_seeds import Plan as HostPlan
from tests.access.certs.local_host import LocalHost
from tests.access.certs.servers import servers

PKI = "/etc/kubernetes/pki"
CONTROLLERS = f"""kind: Pod
metadata:
  name: kube-controller-manager
spec:
  containers:
  - command:
    - kube-controller-manager
    # What it signs by.
    - --cluster-signing-cert-file={PKI}/ca.crt
    - --cluster-signing-key-file={PKI}/ca.key
    - --root-ca-file={PKI}/ca.crt
    - --client-ca-file={PKI}/ca.crt
    - --kubeconfig=/etc/kubernetes/controller-manager.conf
"""
OLD = {Authority.KUBERNETES: CLUSTER, Authority.ETCD: ETCD, Authority.FRONT_PROXY: FRONT}


@pytest.fixture
def hosts(tmp_path: Path) -> dict[str, LocalHost]:
    made = {name: LocalHost(name, tmp_path / name) for name in ("cp1", "cp2", "w1")}
    with servers() as nobody:
        for name in ("cp1", "cp2"):
            write_host(made[name], HostPlan(servers=nobody))
            made[name].write("etc/manifests/kube-controller-manager.yaml", CONTROLLERS.encode())
    made["w1"].write("etc/pki/ca.crt", CLUSTER.certificate)
    made["w1"].write("lib/config.yaml", b"port: 10250\n")
    for name, host in made.items():
        node = leaf(
            CLUSTER,
            names=(),
            cn=f"system:node:{name}",
            organizations=("system:nodes",),
            usages=(CLIENT,),
        )
        host.write("lib/pki/kubelet-client-current.pem", node.certificate + node.key)
        host.write("etc/kubelet.conf", kubeconfig(node))
    return made


async def places(hosts: Mapping[str, LocalHost], authority: Authority) -> list[Place]:
    return [await place(host, authority) for host in hosts.values()]


async def place(host: LocalHost, authority: Authority) -> Place:
    found = await look(host)
    watched = (msgspec.structs.replace(each, was_well=True) for each in watched_ports(found))
    return Place(
        node=host.name,
        seen=Seen(
            host=host.name,
            look=found,
            tools=frozenset({"openssl", "systemctl"}),
            kubeadm="",
            has_manifests=True,
            free=1 << 20,
            watched=tuple(watched),
        ),
        kept=read_kept(await run_on(host, rotation_programs.kept(keep_of(authority)))),
    )


async def planned(hosts: Mapping[str, LocalHost], authority: Authority) -> Plan:
    found = await places(hosts, authority)
    request = Request(
        authority=authority, stage=next_stage(standing(found, authority)), hosts=tuple(hosts)
    )
    return plan_stage(found, ClusterSeen(), request, datetime.now(UTC))


async def run_stage(hosts: Mapping[str, LocalHost], authority: Authority) -> tuple[Plan, Rotation]:
    """Put a stage in place, but restart nothing."""
    plan = await planned(hosts, authority)
    assert not plan.blockers
    rotation = Rotation(hosts=dict(hosts), outlook=outlook_of(plan))
    if rotation.outlook.stage is Stage.TRUST:
        for _ in range(2):  # As after a SIGKILL.
            await make_authority(rotation)
    for site in rotation.outlook.sites:
        host = hosts[site.host]
        await stage(rotation, host, site)
        await run_on(host, programs.install(rotation.outlook.folder))
        manifest = f"{rotation.outlook.folder}/new/etc/kubernetes/manifests"
        await run_on(
            host,
            programs.program(
                "", f"test ! -d {manifest} || cp {manifest}/* /etc/kubernetes/manifests"
            ),
        )
    return plan, rotation


async def test_the_cluster_s_authority_is_replaced_on_every_host(
    hosts: dict[str, LocalHost],
) -> None:
    authority = Authority.KUBERNETES
    keys = {key for host in hosts.values() for key in host.secrets()}
    (old,) = parse_pem(CLUSTER.certificate)

    plan, rotation = await run_stage(hosts, authority)
    kept = await rotation.kept(hosts["cp1"])
    assert kept.new is not None
    assert kept.new.subject != old.subject
    new = kept.new
    assert (await rotation.kept(hosts["cp2"])).has_key
    assert [step.action for step in plan.steps if step.target == "host/w1"] == [
        *("stage", "stop", "install", KUBELET),
    ]
    for host in hosts.values():
        await trusts(host, (old, new))
        await is_signed(host, authority, old)

    await run_stage(hosts, authority)
    for host in hosts.values():
        await trusts(host, (new, old))
        await is_signed(host, authority, new)
    chain = await served(hosts["cp1"])
    # Pods that never read what they were told know one of them alone.
    for anchor in (old, new):
        assert why_untrusted(chain, (anchor,), datetime.now(UTC)) == ""

    await tells_who_may_be_locked_out(hosts)
    await run_stage(hosts, authority)
    for host in hosts.values():
        await trusts(host, (new,))
        await is_signed(host, authority, new)
    assert len(await served(hosts["cp1"])) == 1
    assert standing(await places(hosts, authority), authority) is Stage.DROP
    await run_on(hosts["cp1"], programs.forget(keep_of(authority)))
    with pytest.raises(UsageError, match="is through, but what it kept is still on cp2"):
        await planned(hosts, authority)
    await run_on(hosts["cp2"], programs.forget(keep_of(authority)))
    assert standing(await places(hosts, authority), authority) is None
    told = b"".join(part for host in hosts.values() for part in host.told)
    keys |= {key for host in hosts.values() for key in host.secrets()}
    assert not any(key in told for key in keys)


async def test_the_other_authorities_leave_the_cluster_s_alone(
    hosts: dict[str, LocalHost],
) -> None:
    authority = Authority.ETCD
    del hosts["cp2"]
    before = await look(hosts["cp1"])
    for expected in Stage:
        plan, _ = await run_stage(hosts, authority)
        assert outlook_of(plan).stage is expected
        assert {site.host for site in outlook_of(plan).sites} == {"cp1"}
    after = await look(hosts["cp1"])
    same = {each.path for each in after.files if before.file(each.path) == each}
    assert {f"{PKI}/ca.crt", f"{PKI}/apiserver.crt", "/etc/kubernetes/admin.conf"} <= same
    new = signers_of(after)[authority]
    assert new.has_key
    assert len(new.chain) == 1
    await is_signed(hosts["cp1"], authority, new.certificate)


async def test_hosts_that_are_not_at_one_stage_are_told_apart(hosts: dict[str, LocalHost]) -> None:
    await run_stage({"cp1": hosts["cp1"]}, Authority.ETCD)
    with pytest.raises(UsageError, match="not at one stage"):
        await planned(hosts, Authority.ETCD)


async def tells_who_may_be_locked_out(hosts: dict[str, LocalHost]) -> None:
    """As it is before the old authority is dropped."""
    await run_on(hosts["cp1"], rotation_programs.publish(keep_of(Authority.KUBERNETES)))
    found = await places(hosts, Authority.KUBERNETES)
    (old,) = parse_pem(CLUSTER.certificate)
    request = Request(authority=Authority.KUBERNETES, stage=Stage.DROP, hosts=tuple(hosts))
    cluster = ClusterSeen(
        trusted=frozenset({old.fingerprint}),
        own=parse_pem(leaf(CLUSTER, usages=(CLIENT,)).certificate)[0],
        pods=(("default/early", 1.0), ("default/late", datetime.now(UTC).timestamp() + 3600)),
    )
    plan = plan_stage(found, cluster, request, datetime.now(UTC))
    assert [each.reason for each in plan.blockers] == [
        *("TrustsOldAuthority", "SignedByOldAuthority", "PodsTrustOldAuthority")
    ]
    assert "default/early" in plan.blockers[-1].message
    assert "default/late" not in plan.blockers[-1].message
    with pytest.raises(UsageError, match="drop does"):
        plan_stage(
            found, cluster, msgspec.structs.replace(request, stage=Stage.MOVE), datetime.now(UTC)
        )
    workers = [each for each in plan.steps if each.target == "host/w1"]
    assert [each.claims for each in workers] == [{}, {"workers": 1}, {}, {}]
    assert workers[-1].releases == (workers[1].id,)


async def trusts(host: LocalHost, wanted: tuple[Certificate, ...]) -> None:
    found = await look(host)
    file = found.file(f"{PKI}/ca.crt")
    assert file is not None
    assert parse_pem(file.pem) == wanted
    configs = [each for each in found.files if each.is_kubeconfig]
    assert configs
    assert all(trusted_by(each) == wanted for each in configs)
    flags = found.flags("kube-controller-manager")
    if flags is not None:
        signing = found.file(flags["cluster-signing-cert-file"])
        assert signing is not None
        (signer,) = parse_pem(signing.pem)
        assert signer == wanted[0]
        assert signers_of(found)[Authority.KUBERNETES].has_key


async def is_signed(host: LocalHost, authority: Authority, by: Certificate) -> None:
    found = await look(host)
    leaves = [each for each in leaves_of(found) if each.authority is authority]
    for each in leaves:
        assert why_untrusted((each.certificate,), (by,), datetime.now(UTC)) == "", each.name
        file = found.file(each.path)
        assert file is not None
        assert file.key_digest == each.certificate.key_digest
    node = found.file("/var/lib/kubelet/pki/kubelet-client-current.pem")
    if authority is Authority.KUBERNETES and node is not None:
        assert why_untrusted(parse_pem(node.pem), (by,), datetime.now(UTC)) == ""
        assert node.key_digest == parse_pem(node.pem)[0].key_digest


async def served(host: LocalHost) -> tuple[Certificate, ...]:
    file = (await look(host)).file(f"{PKI}/apiserver.crt")
    assert file is not None
    return parse_pem(file.pem)
