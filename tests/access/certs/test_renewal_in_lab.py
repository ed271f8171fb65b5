"""Renewal, and an authority's rotation, on a real kubeadm cluster that is asked all the while.

The shared lab has one control-plane host: its API server is away while it restarts, and how long
that lasts is measured. With SHIPKEEPER_EXHAUSTIVE=1 its authority is replaced, too, and there are
three: then no request may fail, whatever is killed, but those that etcd cuts off when its leader
changes.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shipkeeper.sandbox.assets import OLDEST
from shipkeeper.sandbox.lab import Lab
from tests.access.certs.control_plane import EXHAUSTIVE, ControlPlane
from tests.lab import require_lab

AWAY_SECONDS = 120.0
# Of 100 requests a second those that one change of etcd's leader may catch.
MOST_FAILED = 5
FOLDERS = ("ls", "/etc/kubernetes", "/etc/kubernetes/pki", "/etc/kubernetes/manifests")


def listed(plane: ControlPlane) -> dict[str, str]:
    return {each.name: plane.lab.run(each.name, *FOLDERS).stdout for each in plane.hosts}


def only_leader_changes(report: dict[str, Any]) -> bool:
    """Whether nothing failed but reads that were under way when etcd's leader changed."""
    return all("leader changed" in each["why"] for each in report["why"])


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {target for target in before if before[target] != after[target]}


def own_ports(serials: dict[str, str]) -> set[str]:
    """The ports whose certificates are the control plane's."""
    return {each for each in serials if not each.startswith("kubelet ")}


def test_one_control_plane_is_renewed(lab: Lab, tmp_path: Path) -> None:
    plane = ControlPlane(lab, tmp_path)
    plane.kubectl("create", "configmap", "asked")
    before, there = plane.serials(), listed(plane)
    planned = plane.succeeds(plane.renew("--dry-run=client")).result
    assert planned["outlook"]["sites"][0]["how"] == "kubeadm"
    assert listed(plane) == there

    with plane.asked(10) as asked:
        plane.succeeds(plane.renew("--timeout=10m"))
    assert asked.end()["longest_silence_seconds"] < AWAY_SECONDS
    after = plane.serials()
    assert changed(before, after) == own_ports(before)
    assert plane.findings() == []


@pytest.mark.skipif(
    not EXHAUSTIVE, reason="everything restarts three times: SHIPKEEPER_EXHAUSTIVE=1"
)
def test_its_authority_is_replaced(lab: Lab, tmp_path: Path) -> None:
    plane = ControlPlane(lab, tmp_path)
    plane.take_kubeconfig()
    first_kubeconfig = tmp_path / "first.kubeconfig"
    first_kubeconfig.write_bytes(lab.kubeconfig.read_bytes())
    rotation = plane.rotate("kubernetes", "--timeout=10m")
    plane.succeeds(rotation)
    plane.succeeds(rotation)
    assert plane.findings() == []
    refused = plane.user.run(*rotation)
    assert refused.process.returncode == 5
    assert "would be locked out" in refused.said
    plane.take_kubeconfig()
    refused = plane.user.run(*rotation)
    assert refused.process.returncode == 5
    assert "pods with tokens run since" in refused.said
    restart_pods(plane)
    # Pods of other tests may be there, too.
    plane.succeeds((*rotation, "--accept-old-pods"))
    assert plane.findings() == []
    words = ("users", "list", f"--kubeconfig={first_kubeconfig}")
    assert "unable to get local issuer certificate" in plane.user.run(*words).said


def restart_pods(plane: ControlPlane) -> None:
    plane.kubectl("-n", "kube-system", "rollout", "restart", "daemonset/kube-proxy")
    plane.kubectl("-n", "kube-system", "rollout", "status", "daemonset/kube-proxy", "--timeout=5m")


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    require_lab()
    lab = Lab.up(
        f"test-certs-{os.getpid()}",
        OLDEST,
        lambda line: print(line, file=sys.stderr),  # noqa: T201
        control_planes=3,
        workers=1,
    )
    plane = ControlPlane(lab, tmp_path_factory.mktemp("certs"))
    plane.kubectl("create", "configmap", "asked")
    yield plane
    lab.down()


exhaustive = pytest.mark.skipif(
    not EXHAUSTIVE, reason="three control planes take half an hour: SHIPKEEPER_EXHAUSTIVE=1"
)


@exhaustive
@pytest.mark.parametrize("how", ["kubeadm", "openssl"])
def test_hardly_a_request_fails_while_three_are_renewed(three: ControlPlane, how: str) -> None:
    before = three.serials()
    with three.asked(100) as asked:
        three.succeeds(three.renew("--timeout=10m", f"--how={how}"))
    report = asked.end()
    # Of etcd's leader, which comes last.
    assert report["failed"] <= MOST_FAILED
    assert only_leader_changes(report)
    assert changed(before, three.serials()) == own_ports(before)
    assert three.findings() == []


@exhaustive
def test_a_renewal_that_is_killed_goes_on_or_back(three: ControlPlane) -> None:
    with three.asked(100) as asked:
        renewed_through_kills(three)
    assert only_leader_changes(asked.end())
    assert three.findings() == []


@exhaustive
def test_a_step_that_fails_puts_back_what_was_there(three: ControlPlane) -> None:
    before, there = three.serials(), listed(three)
    last = three.hosts[2].name
    # The new etcd of that host does not start: its manifest is not what it was.
    manifest = "/etc/kubernetes/manifests/etcd.yaml"
    three.lab.run(last, "sh", "-c", break_once("cp", "/etc/kubernetes/pki/etcd/.server.crt"))
    done = three.user.run(*three.renew("etcd-server", "--how=openssl"))
    assert done.process.returncode == 1, done.said
    states = {each["id"]: each["state"] for each in done.result["steps"]}
    assert states[f"install/{three.hosts[2].address}"] == "Failed"
    after = three.serials()
    host = three.hosts[2].name
    assert not any(host in each and "etcd" in each for each in changed(before, after))
    assert three.lab.run(last, "cat", manifest).stdout
    assert listed(three)[last] == there[last]
    assert three.findings() == []


def break_once(tool: str, pattern: str) -> str:
    """A shell command that lets a tool fail the next time that it is given this."""
    place = f"/usr/local/bin/{tool}"
    script = (
        f'#!/bin/sh\\ncase "$*" in *"{pattern}"*) rm -f "$0"; echo broken >&2; exit 9;; esac\\n'
        f'exec /bin/{tool} "$@"\\n'
    )
    return f"printf '{script}' >{place}; chmod +x {place}"


@exhaustive
@pytest.mark.parametrize("authority", ["etcd", "front-proxy", "kubernetes"])
def test_no_request_fails_while_an_authority_is_replaced(
    three: ControlPlane, authority: str, tmp_path: Path
) -> None:
    words = three.rotate(authority, "--timeout=10m")
    early = tmp_path / "early.kubeconfig"
    early.write_bytes(three.lab.kubeconfig.read_bytes())
    with three.asked(100) as asked:
        # These never read anything anew, as pods do not.
        with three.asked(10, early) as fixed:
            for _ in range(2):
                three.succeeds(words)
                three.take_kubeconfig()
            assert authority == "etcd" or fixed.end()["failed"] == 0
        if authority == "kubernetes":
            restart_pods(three)
        three.succeeds(words)
    report = asked.end()
    assert report["failed"] <= (3 * MOST_FAILED if authority == "etcd" else 0)
    assert only_leader_changes(report)
    assert three.findings() == []


@exhaustive
def test_a_rotation_that_is_killed_goes_on_or_back(three: ControlPlane) -> None:
    with three.asked(100) as asked:
        rotated_through_kills(three)
    assert asked.end()["failed"] == 0
    assert three.findings() == []


@exhaustive
@pytest.mark.parametrize("how", ["renewed", "rotated"])
def test_so_does_one_control_plane(lab: Lab, tmp_path: Path, how: str) -> None:
    plane = ControlPlane(lab, tmp_path)
    plane.take_kubeconfig()
    {"renewed": renewed_through_kills, "rotated": rotated_through_kills}[how](plane)
    assert plane.findings() == []


def renewed_through_kills(plane: ControlPlane) -> None:
    """Kill a renewal in each of its steps: every other time it goes back, else on."""
    words = plane.renew("--timeout=10m", "--how=openssl")
    actions = ("stage", "stop", "install", "etcd", "kube-apiserver", "controllers")
    for number, action in enumerate(actions):
        before = plane.serials()
        host = plane.hosts[number % len(plane.hosts)].address
        plane.killed_in(words, f"{action}/{host}")
        if number % 2:
            plane.succeeds((*words, "--abort"))
            changed_ports = changed(before, plane.serials())
            assert not any(" etcd" in each or "apiserver" in each for each in changed_ports)
        else:
            plane.succeeds(words)
            assert changed(before, plane.serials()) == own_ports(before)


def rotated_through_kills(plane: ControlPlane) -> None:
    """Kill each stage in its steps and take it back; the last time, go on."""
    words = plane.rotate("kubernetes", "--timeout=10m")
    worker = next(each.address for each in plane.lab.hosts if each.role == "worker")
    first = plane.hosts[0].address
    kills = {
        "trust": ("authority", f"stage/{first}", f"kube-apiserver/{first}", "publish"),
        "move": (f"install/{first}", f"controllers/{first}", f"kubelet/{worker}"),
        "drop": ("publish", f"stop/{first}"),
    }
    for stage, steps in kills.items():
        # Pods of other tests may be there, too.
        staged = (*words, "--accept-old-pods") if stage == "drop" else words
        if stage == "drop":
            restart_pods(plane)
        for step in steps:
            plane.killed_in(staged, step)
            plane.succeeds((*words, "--back"))
        plane.killed_in(staged, steps[-1])
        plane.succeeds(staged)
        plane.take_kubeconfig()
