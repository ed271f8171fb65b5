"""Who gets in and what they may do, at either end of the version range."""

import http.client
import json
import ssl
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from shipkeeper.sandbox import Sandbox, names
from shipkeeper.sandbox.record import read_record

from .client import Kubectl, wait_until

pytestmark = pytest.mark.usefixtures("own_state")

NODE = {"apiVersion": "v1", "kind": "Node"}


def get(server: str, path: str, *, ca: Path, client: tuple[Path, Path] | None = None) -> int:
    tls = ssl.create_default_context(cafile=ca)
    if client:
        tls.load_cert_chain(*client)
    host = urlsplit(server).netloc
    with closing(http.client.HTTPSConnection(host, context=tls, timeout=10)) as connection:
        connection.request("GET", path)
        return connection.getresponse().status


def listening(pid: int) -> set[str]:
    """The addresses, as /proc/net/tcp writes them, on which a process listens."""
    sockets = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    tables = (Path(f"/proc/{pid}/net/{table}").read_text() for table in ("tcp", "tcp6"))
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    return {row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets}


def secret(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
    }


def test_api_server_proves_itself_by_the_sandbox_authority_alone(control_plane: Sandbox) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        get(control_plane.server, "/readyz", ca=control_plane.layout.certificate(names.ETCD_CA))


def test_plain_http_is_refused(control_plane: Sandbox) -> None:
    host = urlsplit(control_plane.server).netloc
    with closing(http.client.HTTPConnection(host, timeout=10)) as connection:
        connection.request("GET", "/readyz")
        assert connection.getresponse().status == 400


@pytest.mark.parametrize("path", ["/api/v1/pods", "/version", "/readyz"])
def test_nobody_without_a_name_gets_in(control_plane: Sandbox, path: str) -> None:
    assert get(control_plane.server, path, ca=control_plane.ca) == 401


def test_expired_certificate_is_refused(control_plane: Sandbox, kubectl: Kubectl) -> None:
    expired = datetime.now(UTC) - timedelta(minutes=1)
    late = control_plane.issue_kubeconfig("late", ("system:masters",), not_after=expired)
    answer = kubectl(late, "get", "nodes")
    assert "Unauthorized" in answer.stderr or "logged in" in answer.stderr
    timely = control_plane.issue_kubeconfig("late", ("system:masters",))
    assert kubectl(timely, "get", "nodes").returncode == 0


def test_rbac_refuses_until_it_grants(control_plane: Sandbox, kubectl: Kubectl) -> None:
    ann = control_plane.issue_kubeconfig("ann", ("crew",))
    refused = kubectl(ann, "get", "nodes")
    assert refused.returncode == 1
    assert 'User "ann" cannot list resource "nodes"' in refused.stderr
    for name, subject in {"user": "--user=ann", "group": "--group=crew"}.items():
        granted = ("create", "clusterrolebinding", name, "--clusterrole=view", subject)
        kubectl.answer(control_plane, *granted)
        assert kubectl(ann, "get", "pods").returncode == 0
        kubectl.answer(control_plane, "delete", "clusterrolebinding", name)


def test_node_reads_only_the_secrets_of_its_own_pods(
    control_plane: Sandbox, kubectl: Kubectl
) -> None:
    kubectl.apply(
        control_plane,
        NODE | {"metadata": {"name": "own"}},
        secret("used"),
        secret("unused"),
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "user", "namespace": "default"},
            "spec": {
                "nodeName": "own",
                "containers": [{"name": "main", "image": "none"}],
                "volumes": [{"name": "secret", "secret": {"secretName": "used"}}],
            },
        },
    )
    node = control_plane.issue_kubeconfig("system:node:own", ("system:nodes",))
    wait_until(lambda: kubectl(node, "get", "secret", "used").returncode == 0)
    refused = kubectl(node, "get", "secret", "unused")
    assert "no relationship found between node" in refused.stderr


def test_node_changes_no_other_node(control_plane: Sandbox, kubectl: Kubectl) -> None:
    kubectl.apply(control_plane, *(NODE | {"metadata": {"name": name}} for name in ("a", "b")))
    node = control_plane.issue_kubeconfig("system:node:a", ("system:nodes",))
    assert kubectl(node, "annotate", "--overwrite", "node", "a", "seen=yes").returncode == 0
    refused = kubectl(node, "annotate", "--overwrite", "node", "b", "seen=yes")
    assert 'nodes "b" is forbidden' in refused.stderr


def test_hollow_nodes_do_kubelets_work_and_nothing_else(
    control_plane: Sandbox, kubectl: Kubectl
) -> None:
    hollow = control_plane.layout.kubeconfig(names.HOLLOW_NODES)

    def may(request: str) -> bool:
        verb, _, resource = request.partition(" ")
        kind, _, part = resource.partition("/")
        answer = kubectl(hollow, "auth", "can-i", verb, kind, f"--subresource={part}", "-A")
        return answer.stdout.strip() == "yes"

    allowed = ("create nodes", "watch pods", "patch pods/status", "delete pods", "update leases")
    denied = ("create pods", "get secrets", "create pods/eviction", "patch deployments", "* *")
    assert [each for each in allowed if not may(each)] == []
    assert [each for each in denied if may(each)] == []


def test_etcd_takes_the_api_servers_certificate_alone(control_plane: Sandbox) -> None:
    layout = control_plane.layout
    server = f"https://127.0.0.1:{read_record(layout).ports.etcd}"
    authority = layout.certificate(names.ETCD_CA)

    def ask(client: str | None) -> int:
        pair = (layout.certificate(client), layout.key(client)) if client else None
        return get(server, "/health", ca=authority, client=pair)

    assert ask(names.ETCD_CLIENT) == 200
    for stranger in (None, names.ADMIN, names.HOLLOW_NODES):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(stranger)


def test_everything_listens_on_loopback_alone(control_plane: Sandbox) -> None:
    record = read_record(control_plane.layout)
    expected = {
        names.ETCD: record.ports.etcd,
        names.API_SERVER: record.ports.api_server,
        names.CONTROLLER_MANAGER: record.ports.controller_manager,
        names.SCHEDULER: record.ports.scheduler,
    }
    for name, port in expected.items():
        addresses = listening(record.components[name].process.pid)
        assert f"0100007F:{port:04X}" in addresses
        assert {each.partition(":")[0] for each in addresses} == {"0100007F"}


def test_nobody_else_on_the_machine_may_read_its_files(control_plane: Sandbox) -> None:
    control_plane.issue_kubeconfig("someone")
    everything = [control_plane.directory, *control_plane.directory.rglob("*")]
    # Etcd's own files lie in a directory that is closed.
    exposed = [path for path in everything if path.stat().st_mode & 0o077 and not in_etcd(path)]
    assert exposed == []


def in_etcd(path: Path) -> bool:
    return "member" in path.parts


def test_audit_log_has_one_line_for_each_request(control_plane: Sandbox, kubectl: Kubectl) -> None:
    auditor = control_plane.issue_kubeconfig("auditor", ("system:masters",))
    for number in range(3):
        kubectl(auditor, "get", "--raw", f"/api/v1/namespaces/default/pods/looked-for-{number}")
    events = [json.loads(line) for line in control_plane.audit_log.read_text().splitlines()]
    own = [each for each in events if each["user"]["username"] == "auditor"]
    assert [each["requestURI"].rpartition("-")[2] for each in own] == ["0", "1", "2"]
    assert {each["responseStatus"]["code"] for each in own} == {404}
    assert len({each["auditID"] for each in events}) == len(events)
