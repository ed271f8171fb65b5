"""Making certificates by a host's OpenSSL, putting them in place and taking them back."""

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from shipkeeper.access.certs.host import HostLook
from shipkeeper.access.certs.renew import programs
from shipkeeper.access.certs.renew.leaves import leaves_of
from shipkeeper.access.certs.renew.plan import (
    OPENSSL,
    Request,
    Seen,
    outlook_of,
    plan_renewal,
)
from shipkeeper.access.certs.renew.reach import RenewError, look, run_on
from shipkeeper.access.certs.renew.site import watched_ports
from shipkeeper.access.certs.renew.staging import stage
from shipkeeper.engine.plan import Plan
from shipkeeper.errors import UsageError
from tests.access.certs.authority import CLIENT, authority, leaf
from tests.access.certs.host_seeds import ETCD, kubeconfig, write_host
from tests.access.certs.host_seeds import Plan as HostPlan
from tests.access.certs.local_host import LocalHost
from tests.access.certs.servers import servers

NOW = datetime.now(UTC)
TOOLS = frozenset({"openssl"})


@pytest.fixture
def host(tmp_path: Path) -> LocalHost:
    made = LocalHost("cp1", tmp_path / "cp1")
    with servers() as nobody:
        write_host(made, HostPlan(servers=nobody))
    return made


def seen(found: HostLook, *, free: int = 1 << 20) -> Seen:
    return Seen(
        host="cp1", look=found, tools=TOOLS, kubeadm="", has_manifests=True, free=free, watched=()
    )


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(file.relative_to(folder)): (file.stat().st_mode & 0o777, file.read_bytes())
        for file in folder.rglob("*")
        if file.is_file() and "renew-" not in str(file)
    }


def planned(found: HostLook, *names: str) -> Plan:
    # Not that of the import: what ends in half an hour is made later, too.
    now = datetime.now(UTC)
    return plan_renewal([seen(found)], Request(hosts=("cp1",), names=names), now)


async def test_all_is_made_like_the_old_put_in_place_and_taken_back(
    host: LocalHost, tmp_path: Path
) -> None:
    etc = tmp_path / "cp1" / "etc"
    (etc / "pki/apiserver.key").chmod(0o640)
    (etc / "scheduler.conf").chmod(0o604)
    before, keys = contents(etc), host.secrets()
    found = await look(host)
    outlook = outlook_of(planned(found))
    (site,) = outlook.sites
    assert site.how == OPENSSL
    assert len(site.leaves) == 10
    await stage(outlook, host, site)
    await stage(outlook, host, site)  # As after a SIGKILL.
    assert contents(etc) == before

    await run_on(host, programs.install(outlook.folder))
    after = contents(etc)
    renewed = {each.path.removeprefix("/etc/kubernetes/") for each in site.leaves}
    renewed |= {f"{each.removesuffix('.crt')}.key" for each in renewed if each.endswith(".crt")}
    assert {name for name in before if before[name] != after[name]} == renewed
    assert {name: mode for name, (mode, _) in after.items()} == {
        name: mode for name, (mode, _) in before.items()
    }
    again = {each.name: each.certificate for each in leaves_of(await look(host))}
    for each in leaves_of(found):
        new = again[each.name]
        assert (new.subject, new.names, new.usages) == (
            each.certificate.subject,
            each.certificate.names,
            each.certificate.usages,
        )
        assert timedelta(days=364) < new.not_after - NOW <= timedelta(days=366)

    await run_on(host, programs.restore(outlook.folder))
    assert contents(etc) == before
    told = b"".join(host.told)
    assert not any(key in told for key in keys | host.secrets())


def instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str, script: str) -> None:
    """Let hosts find a script where they look for a tool."""
    folder = tmp_path / "tools"
    folder.mkdir(exist_ok=True)
    (folder / tool).write_text(f"#!/bin/sh\n{script}\n")
    (folder / tool).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


# The first ones keep what is there, the others put the new in place.
@pytest.mark.parametrize("copy", [1, 8, 22, 33])
async def test_no_room_in_an_installation_costs_no_file(
    host: LocalHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy: int
) -> None:
    etc = tmp_path / "cp1" / "etc"
    before = contents(etc)
    outlook = outlook_of(planned(await look(host)))
    await stage(outlook, host, outlook.sites[0])
    count = tmp_path / "count"
    count.write_text("")
    full = f'echo >>{count}; test $(wc -l <{count}) -lt {copy} || exit 1; exec /bin/cp "$@"'
    with monkeypatch.context() as patched:
        instead(tmp_path, patched, "cp", full)
        with pytest.raises(RenewError):
            await run_on(host, programs.install(outlook.folder))
        if copy <= 20:
            # There still is no room.
            await run_on(host, programs.restore(outlook.folder))
            assert contents(etc) == before
    await run_on(host, programs.restore(outlook.folder))
    assert contents(etc) == before
    await run_on(host, programs.install(outlook.folder))
    assert contents(etc) != before


async def test_a_host_whose_api_server_another_run_took_away_is_refused(host: LocalHost) -> None:
    found = await look(host)
    folder, manifest = outlook_of(planned(found)).folder, "/etc/kubernetes/manifests/etcd.yaml"
    assert "away" not in await run_on(host, programs.survey())
    await run_on(host, programs.stop(folder, "etcd", 10))
    said = await run_on(host, programs.survey())
    assert said.splitlines()[-2:-1] == [f"away {folder}/old{manifest}"]
    away = msgspec.structs.replace(seen(found), away=(f"{folder}/old{manifest}",))
    plan = plan_renewal([away], Request(hosts=("cp1",)), NOW)
    (refused,) = [each for each in plan.blockers if each.reason == "StaticPodAway"]
    assert "has taken etcd away" in refused.message
    await run_on(host, programs.program("", f"cp {folder}/old{manifest} {manifest}"))
    # What a run keeps when all is done is no sign of one under way.
    assert "away" not in await run_on(host, programs.survey())
    aside = "/etc/kubernetes/recover-1"
    await run_on(host, programs.program("", f"mkdir {aside}; mv {manifest} {aside}/etcd.yaml"))
    assert f"away {aside}/etcd.yaml" in await run_on(host, programs.survey())


async def test_a_way_back_that_was_cut_off_while_it_cleared_up_is_gone_again(
    host: LocalHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    etc = tmp_path / "cp1" / "etc"
    before = contents(etc)
    outlook = outlook_of(planned(await look(host)))
    await stage(outlook, host, outlook.sites[0])
    await run_on(host, programs.install(outlook.folder))
    await run_on(host, programs.restore(outlook.folder))
    dies = 'test -d "$2" || exit 0; /bin/rm -rf "$2"/old/*; exit 1'
    with monkeypatch.context() as patched:
        instead(tmp_path, patched, "rm", dies)
        with pytest.raises(RenewError):
            await run_on(host, programs.forget(outlook.folder))
    # As after the death of the host, or of whoever drove it.
    await run_on(host, programs.restore(outlook.folder))
    assert contents(etc) == before
    await run_on(host, programs.forget(outlook.folder))
    assert not [each for each in etc.iterdir() if each.name.startswith("renew-")]


async def test_a_certificate_that_is_not_fit_is_not_put_in_place(
    host: LocalHost, tmp_path: Path
) -> None:
    outlook = outlook_of(planned(await look(host), "etcd-peer"))
    # Between plan and run somebody put another authority there.
    other = authority("etcd-ca")
    host.write("etc/pki/etcd/ca.crt", other.certificate)
    with pytest.raises(RenewError, match="openssl"):
        await stage(outlook, host, outlook.sites[0])
    host.write("etc/pki/etcd/ca.crt", ETCD.certificate + other.certificate)
    await stage(outlook, host, outlook.sites[0])


async def test_what_cannot_be_renewed_is_said(host: LocalHost, tmp_path: Path) -> None:
    etc = tmp_path / "cp1" / "etc"
    host.write(
        "etc/pki/apiserver.crt", leaf(authority("public"), names=("api.example",)).certificate
    )
    (etc / "pki/front-proxy-ca.key").unlink()
    host.write("etc/scheduler.conf", kubeconfig(leaf(ETCD, names=(), usages=(CLIENT,))))
    plan = planned(await look(host))
    assert {(each.target, each.reason) for each in plan.blockers} == {
        ("certificate/cp1:/etc/kubernetes/pki/apiserver.crt", "OtherAuthority"),
        ("certificate/cp1:/etc/kubernetes/pki/front-proxy-client.crt", "NoAuthorityKey"),
        ("certificate/cp1:/etc/kubernetes/scheduler.conf", "OtherAuthority"),
    }
    assert not planned(await look(host), "etcd-peer").blockers
    with pytest.raises(UsageError, match="there is no certificate"):
        planned(await look(host), "etcd-pear")


async def test_the_sick_host_comes_first_and_etcd_s_leader_last(host: LocalHost) -> None:
    found = await look(host)
    well = tuple(msgspec.structs.replace(each, was_well=True) for each in watched_ports(found))
    sick = tuple(msgspec.structs.replace(each, was_well=False) for each in well)
    hosts = [
        msgspec.structs.replace(seen(found), host=name, watched=watched, leads=name == "cp1")
        for name, watched in (("cp1", well), ("cp2", sick), ("cp3", well))
    ]
    plan = plan_renewal(hosts, Request(hosts=("cp1", "cp2", "cp3")), NOW)
    assert [each.reason for each in plan.verdicts] == ["NotHealthy"]
    actions = ("stop", "install", "etcd", "kube-apiserver", "controllers")
    order = [f"{action}/{name}" for name in ("cp2", "cp3", "cp1") for action in actions]
    staged = [f"stage/{name}" for name in ("cp2", "cp3", "cp1")]
    assert [each.id for each in plan.steps] == [*staged, *order]
    assert plan.step("stop/cp2").after == tuple(staged)
    assert [plan.step(id_).after for id_ in order[1:]] == [(each,) for each in order[:-1]]
    # What failed is put back; hosts before it keep the new, those after it have not changed.
    assert set(plan.step("etcd/cp3").rollback) == {"stage/cp3", "stage/cp1"}
    only = plan_renewal(hosts, Request(hosts=("cp1",), names=("scheduler.conf",)), NOW)
    assert {each.action for each in only.steps} == {"stage", "stop", "install", "controllers"}
    assert outlook_of(only).sites[0].restarts == ("kube-scheduler",)


async def test_an_authority_that_ends_is_no_reason_to_sign_by_it(
    host: LocalHost, tmp_path: Path
) -> None:
    soon = authority("etcd-ca", ends=timedelta(minutes=30))
    for name in ("etcd/ca", "etcd/peer"):
        pair = soon if name == "etcd/ca" else leaf(soon, names=("127.0.0.1",))
        host.write(f"etc/pki/{name}.crt", pair.certificate)
        host.write(f"etc/pki/{name}.key", pair.key)
    plan = planned(await look(host), "etcd-peer")
    assert [each.reason for each in plan.blockers] == ["AuthorityEnds"]


async def test_a_manifest_is_kept_before_it_is_taken_away(host: LocalHost, tmp_path: Path) -> None:
    manifests = tmp_path / "cp1/etc/manifests"
    text = (manifests / "etcd.yaml").read_bytes()
    folder = "/etc/kubernetes/renew-1"
    for _ in range(2):
        await run_on(host, programs.stop(folder, "etcd", 5))
        assert not (manifests / "etcd.yaml").exists()
    kept = tmp_path / "cp1/etc/renew-1/old/etc/kubernetes/manifests/etcd.yaml"
    assert kept.read_bytes() == text
    with pytest.raises(RenewError, match="does not start etcd"):
        await run_on(host, programs.start(folder, "etcd", 0))
    assert (manifests / "etcd.yaml").read_bytes() == text
    shutil.rmtree(kept.parent)
    (manifests / "etcd.yaml").unlink()
    with pytest.raises(RenewError, match="no manifest of etcd"):
        await run_on(host, programs.stop(folder, "etcd", 5))
