"""A client that asks API servers a hundred times a second, and fails over as a load balancer does.

Run as `asking.py KUBECONFIG REPORT RATE SERVER...`, until SIGTERM. It reads its kubeconfig anew
when that was replaced. A request has failed if no server answers it well: what a balancer would
pass on to its client. Connections that a server ends, or refuses, are tried at the next one.
"""

import base64
import http.client
import json
import signal
import ssl
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

THREADS = 10
PATIENCE = 10.0
PATH = "/api/v1/namespaces/default/configmaps/asked"
# What ends a connection, and not a request.
ENDED = (ConnectionError, http.client.HTTPException, TimeoutError, OSError)


class Access:
    """What a kubeconfig says now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: Any = None
        self.count = 0
        self.context = self._read()

    def current(self) -> tuple[int, ssl.SSLContext]:
        with self._lock:
            if self._stamp() != self._seen:
                self.context = self._read()
            return self.count, self.context

    def _stamp(self) -> Any:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_ino

    def _read(self) -> ssl.SSLContext:
        self._seen = self._stamp()
        self.count += 1
        config = yaml.safe_load(self._path.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=_decoded(cluster["certificate-authority-data"]))
        with tempfile.NamedTemporaryFile() as file:
            file.write(base64.b64decode(user["client-certificate-data"]) + b"\n")
            file.write(base64.b64decode(user["client-key-data"]))
            file.flush()
            context.load_cert_chain(file.name)
        return context


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()


class Tally:
    """What came of all requests so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.answered = 0
        self.failed: list[dict[str, Any]] = []
        self.failovers = 0
        self.slowest = 0.0
        self.silence = 0.0
        self._last = time.monotonic()

    def note(self, began: float, failovers: int, why: str) -> None:
        with self._lock:
            now = time.monotonic()
            self.failovers += failovers
            if why:
                self.failed.append({"at": time.time(), "why": why})
                return
            self.answered += 1
            self.slowest = max(self.slowest, now - began)
            self.silence = max(self.silence, now - self._last)
            self._last = now

    def report(self) -> dict[str, Any]:
        with self._lock:
            return {
                "answered": self.answered,
                "failed": len(self.failed),
                "why": self.failed[:20],
                "failovers": self.failovers,
                "slowest_seconds": round(self.slowest, 3),
                "longest_silence_seconds": round(self.silence, 3),
            }


class Asker:
    """One of the threads: its connections, kept alive."""

    def __init__(self, access: Access, servers: list[str], tally: Tally, first: int) -> None:
        self._access = access
        self._servers = servers
        self._tally = tally
        self._at = first % len(servers)
        self._open: http.client.HTTPSConnection | None = None
        self._count = 0

    def ask(self, number: int) -> None:
        began = time.monotonic()
        whys: list[str] = []
        # Each server twice: a connection that was kept alive may have ended meanwhile.
        for _ in range(2 * len(self._servers)):
            try:
                status, said = self._once(number)
            except ENDED as error:
                whys.append(f"{self._servers[self._at]}: {type(error).__name__}: {error}")
                self._hang_up()
                self._at = (self._at + 1) % len(self._servers)
                # A certificate that is not trusted is no connection that ended.
                if isinstance(error, ssl.SSLCertVerificationError):
                    break
                continue
            if status == 200:
                return self._tally.note(began, len(whys), "")
            whys.append(f"{self._servers[self._at]}: {status} {said}")
            break
        self._tally.note(began, len(whys), "; ".join(whys))
        return None

    def _once(self, number: int) -> tuple[int, str]:
        count, context = self._access.current()
        if count != self._count:
            self._hang_up()
            self._count = count
        if self._open is None:
            place = urlsplit(self._servers[self._at])
            self._open = http.client.HTTPSConnection(
                place.hostname or "", place.port, context=context, timeout=PATIENCE
            )
        if number % 10:
            self._open.request("GET", PATH)
        else:
            body = json.dumps({"data": {"number": str(number)}})
            kind = {"Content-Type": "application/merge-patch+json"}
            self._open.request("PATCH", PATH, body, kind)
        answer = self._open.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")[:300]

    def _hang_up(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = None


def main() -> None:
    access, report = Access(Path(sys.argv[1])), Path(sys.argv[2])
    rate, servers = float(sys.argv[3]), sys.argv[4:]
    tally, ended = Tally(), threading.Event()

    def end(number: int, frame: object) -> None:
        ended.set()

    signal.signal(signal.SIGTERM, end)

    def work(index: int) -> None:
        asker = Asker(access, servers, tally, index)
        pause, due, number = THREADS / rate, time.monotonic() + index / rate, index
        while not ended.wait(max(0.0, due - time.monotonic())):
            asker.ask(number)
            due, number = due + pause, number + THREADS

    threads = [threading.Thread(target=work, args=(each,)) for each in range(THREADS)]
    began = time.monotonic()
    for each in threads:
        each.start()
    while not ended.wait(0.5):
        write(report, tally, began)
    for each in threads:
        each.join()
    write(report, tally, began)


def write(report: Path, tally: Tally, began: float) -> None:
    found = tally.report()
    seconds = time.monotonic() - began
    rate = (found["answered"] + found["failed"]) / seconds
    partial = report.with_suffix(".partial")
    partial.write_text(json.dumps({**found, "seconds": round(seconds, 1), "rate": round(rate, 1)}))
    partial.replace(report)


if __name__ == "__main__":
    main()
