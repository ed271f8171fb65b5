"""An independent observer of budgets: counts how often an application falls below its minimum.

It is a process of its own, started beside what it watches, and shares no code with it: it speaks
plain HTTP with the standard library, and counts healthy pods itself.

    python -m shipkeeper.sandbox.watchman KUBECONFIG

It prints `ready` once it sees everything, and when its standard input ends one JSON object:
`{"violations": N, "details": [...], "deleted": pods whose deletion was asked for meanwhile}`.
"""

import base64
import http.client
import json
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

# JSON as it comes: this module decodes nothing to types that it could share with others.
Object = Any


_PODS = "/api/v1/pods"
_CATCH_UP_SECONDS = 15.0


class Server:
    """The API server of a kubeconfig that holds a client certificate."""

    def __init__(self, kubeconfig: Path) -> None:
        config: Object = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._address = urlsplit(str(cluster["server"]))
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._tls = ssl.create_default_context(cadata=authority)
        # The ssl module reads certificate and key from a file alone; a temporary one is private.
        with tempfile.NamedTemporaryFile() as file:
            for part in ("client-certificate-data", "client-key-data"):
                file.write(base64.b64decode(user[part]) + b"\n")
            file.flush()
            self._tls.load_cert_chain(file.name)

    def get(self, path: str) -> http.client.HTTPResponse:
        """The answer to a GET; the body is still to be read."""
        connection = http.client.HTTPSConnection(self._address.netloc, context=self._tls)
        connection.request("GET", path)
        return connection.getresponse()

    def budgets_path(self) -> str:
        """Where the newest PodDisruptionBudgets of this server are."""
        answer = self.get("/apis/policy/v1")
        answer.read()
        version = "v1" if answer.status == 200 else "v1beta1"
        return f"/apis/policy/{version}/poddisruptionbudgets"


class Tally:
    """Pods and budgets as they are, and how often a budget was broken."""

    def __init__(self) -> None:
        self._using = threading.Lock()
        self._pods: dict[str, Object] = {}
        self._budgets: dict[str, Object] = {}
        self._healthy: dict[str, set[str]] = {}
        self._deleted: set[str] = set()
        self.violations: list[Object] = []

    def see_pod(self, kind: str, pod: Object) -> None:
        """Take in one change of a pod."""
        with self._using:
            metadata = pod["metadata"]
            uid, is_gone = metadata["uid"], kind == "DELETED"
            self._pods[uid] = pod
            if is_gone:
                del self._pods[uid]
            if is_gone or "deletionTimestamp" in metadata:
                self._deleted.add(uid)
            is_healthy = not is_gone and _is_healthy(pod)
            for key, budget in self._budgets.items():
                if _covers(budget, pod):
                    self._count(key, uid, is_healthy, f"{metadata['namespace']}/{metadata['name']}")

    def _count(self, key: str, uid: str, is_healthy: bool, pod: str) -> None:
        """Note a violation when the healthy pods fall below what the budget wants."""
        healthy = self._healthy[key]
        before = len(healthy)
        (healthy.add if is_healthy else healthy.discard)(uid)
        wanted = _at(self._budgets[key], "status", "desiredHealthy") or 0
        if len(healthy) < wanted <= before:
            self.violations.append(
                {"budget": key, "healthy": len(healthy), "wanted": wanted, "pod": pod}
            )

    def see_budget(self, kind: str, budget: Object) -> None:
        """Take in one change of a budget."""
        with self._using:
            key = f"{budget['metadata']['namespace']}/{budget['metadata']['name']}"
            before = self._budgets.pop(key, None)
            if kind == "DELETED":
                self._healthy.pop(key, None)
                return
            self._budgets[key] = budget
            if before is None or before["spec"] != budget["spec"]:
                self._healthy[key] = {
                    uid
                    for uid, pod in self._pods.items()
                    if _covers(budget, pod) and _is_healthy(pod)
                }

    def has_seen(self, listed: Object) -> bool:
        """Whether everything that a list of pods shows has come by the watch, too."""
        revision = int(listed["metadata"]["resourceVersion"])
        current = {item["metadata"]["uid"]: _revision(item) for item in listed["items"] or ()}
        with self._using:
            known = {uid: _revision(pod) for uid, pod in self._pods.items()}
            is_behind = any(
                known.get(uid, 0) < wanted for uid, wanted in current.items() if uid in known
            ) or any(uid not in known and uid not in self._deleted for uid in current)
            return not is_behind and all(
                uid in current or seen > revision for uid, seen in known.items()
            )

    def report(self) -> Object:
        """What was seen so far."""
        with self._using:
            return {
                "violations": len(self.violations),
                "details": self.violations,
                "deleted": len(self._deleted),
            }


def _revision(item: Object) -> int:
    return int(item["metadata"]["resourceVersion"])


def _at(value: Object, *path: str) -> Any:
    """What is at a path of an object; None where a part of the path is missing."""
    for key in path:
        if value is None:
            return None
        value = value.get(key)
    return value


def _covers(budget: Object, pod: Object) -> bool:
    wanted = _at(budget, "spec", "selector", "matchLabels")
    return (
        bool(wanted)
        and budget["metadata"]["namespace"] == pod["metadata"]["namespace"]
        and all(_at(pod, "metadata", "labels", key) == wanted[key] for key in wanted)
    )


def _is_healthy(pod: Object) -> bool:
    if "deletionTimestamp" in pod["metadata"]:
        return False
    conditions = _at(pod, "status", "conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def follow(server: Server, path: str) -> Iterator[tuple[str, Object]]:
    """Every object as ADDED, then `("SYNCED", {})`, then every change, one watch after another."""
    listed = json.loads(server.get(path).read())
    for item in listed["items"] or ():
        yield "ADDED", item
    yield "SYNCED", {}
    revision = listed["metadata"]["resourceVersion"]
    while True:
        stream = server.get(f"{path}?watch=1&resourceVersion={revision}&timeoutSeconds=3000")
        for line in stream:
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise RuntimeError(f"the watch of {path} broke: {event['object']}")
            revision = event["object"]["metadata"]["resourceVersion"]
            yield event["type"], event["object"]


def main() -> None:
    """Watch until standard input ends, as it also does when the parent dies; then report."""
    server, tally = Server(Path(sys.argv[1])), Tally()
    synced = threading.Barrier(3)

    def watch(path: str, see: Any) -> None:
        for kind, item in follow(server, path):
            if kind == "SYNCED":
                synced.wait()
            else:
                see(kind, item)

    for path, see in ((server.budgets_path(), tally.see_budget), (_PODS, tally.see_pod)):
        threading.Thread(target=watch, args=(path, see), daemon=True).start()
    synced.wait()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    # What was asked for until now has happened, but its events may still be on their way.
    listed = json.loads(server.get(_PODS).read())
    deadline = time.monotonic() + _CATCH_UP_SECONDS
    while not tally.has_seen(listed) and time.monotonic() < deadline:
        time.sleep(0.05)
    sys.stdout.write(json.dumps(tally.report()) + "\n")


if __name__ == "__main__":
    main()
