"""A client of a workload that knows nothing of shipkeeper: it asks each pod, over and over.

Run as a program: `asker.py KUBECONFIG NAMESPACE APP PORT REPORT`. It learns of the pods from the
API server, keeps asking those it knows while that is away, and appends a line to the report
whenever the number of pods that answer changes.
"""

import base64
import http.client
import json
import socket
import ssl
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

import yaml

# A machine that is busy with a whole cluster may be slow to answer.
_PATIENCE = 10.0
_PAUSE = 0.1


class Api:
    """The API server, asked with the client certificate of a kubeconfig."""

    def __init__(self, kubeconfig: str) -> None:
        loaded = yaml.safe_load(Path(kubeconfig).read_text())
        cluster, user = loaded["clusters"][0]["cluster"], loaded["users"][0]["user"]
        address = urllib.parse.urlsplit(str(cluster["server"]))
        context = ssl.create_default_context(
            cadata=base64.b64decode(cluster["certificate-authority-data"]).decode()
        )
        with tempfile.NamedTemporaryFile() as pair:
            for name in ("client-certificate-data", "client-key-data"):
                pair.write(base64.b64decode(user[name]))
            pair.flush()
            context.load_cert_chain(pair.name)
        self._connection = http.client.HTTPSConnection(
            address.hostname or "", address.port, timeout=2, context=context
        )

    def addresses(self, namespace: str, app: str) -> set[str]:
        """Where the pods of an app are, Ready or not."""
        try:
            self._connection.request(
                "GET", f"/api/v1/namespaces/{namespace}/pods?labelSelector=app={app}"
            )
            pods = json.loads(self._connection.getresponse().read())["items"]
        except BaseException:
            # The next request opens it anew.
            self._connection.close()
            raise
        return {pod["status"]["podIP"] for pod in pods if pod["status"].get("podIP")}


class Tally:
    """Who answers now; every change is written down."""

    def __init__(self, report: str) -> None:
        self._report = Path(report)
        self._lock = threading.Lock()
        self._answering: set[str] = set()
        self._asked = 0

    def note(self, address: str, *, answers: bool) -> None:
        """Take in how an address answered."""
        with self._lock:
            self._asked += 1
            before = len(self._answering)
            (self._answering.add if answers else self._answering.discard)(address)
            if len(self._answering) != before:
                self._write(answering=len(self._answering), asked=self._asked)

    def api(self, *, away: bool) -> None:
        """Take in whether the API server is away."""
        with self._lock:
            self._write(away=away)

    def _write(self, **what: object) -> None:
        with self._report.open("a") as file:
            file.write(json.dumps({"at": time.monotonic(), **what}) + "\n")


def answers(address: str, port: int) -> bool:
    """Whether a pod answers a request of its own connection."""
    try:
        with socket.create_connection((address, port), timeout=_PATIENCE) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return connection.recv(16).partition(b" ")[2].startswith(b"200")
    except OSError:
        return False


def ask(address: str, port: int, known: set[str], tally: Tally) -> None:
    """Ask one pod until it is known no more."""
    while address in known:
        tally.note(address, answers=answers(address, port))
        time.sleep(_PAUSE)
    tally.note(address, answers=False)


def follow(api: Api, namespace: str, app: str, port: int, tally: Tally) -> None:
    """Ask whatever pods there are, for ever."""
    known: set[str] = set()
    away = False
    while True:
        try:
            found = api.addresses(namespace, app)
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            found, was_away, away = set(known), away, True
        else:
            was_away, away = away, False
        if was_away != away:
            tally.api(away=away)
        known &= found
        for address in found - known:
            known.add(address)
            threading.Thread(target=ask, args=(address, port, known, tally), daemon=True).start()
        time.sleep(_PAUSE)


if __name__ == "__main__":
    kubeconfig, namespace, app, port, report = sys.argv[1:]
    follow(Api(kubeconfig), namespace, app, int(port), Tally(report))
