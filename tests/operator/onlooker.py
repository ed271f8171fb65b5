"""What is seen of a cluster by kubectl and by the API server's own counters, and not by us."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

Seen = dict[str, Any]
_EVICTED = ('resource="pods"', 'subresource="eviction"', 'code="201"')


class Onlooker:
    """A `kubectl get --watch` that goes on, each event a line of its file."""

    def __init__(self, kubectl: Sequence[str], kind: str, log: Path) -> None:
        self._log = log
        words = (*kubectl, "get", kind, "-A", "--watch", "--output-watch-events", "-o", "json")
        with log.open("wb") as file:
            self._process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file)

    @property
    def seen(self) -> Iterator[Seen]:
        """Each object each time that it was seen, but for what is still being written."""
        text, decoder, place = self._log.read_text(), json.JSONDecoder(), 0
        while place < len(text):
            try:
                event, place = decoder.raw_decode(text, place)
            except json.JSONDecodeError:
                return
            yield event["object"]
            place += len(text[place:]) - len(text[place:].lstrip())

    def end(self) -> None:
        """Look no longer; it must have looked until now."""
        was_looking = self._process.poll() is None
        self._process.terminate()
        self._process.wait(30)
        assert was_looking, "it ended before it was told to"


def cordons(nodes: Iterator[Seen]) -> list[str]:
    """The names of nodes as they were cordoned, one after the other, each time that they were."""
    found: list[str] = []
    cordoned: set[str] = set()
    for node in nodes:
        name = node["metadata"]["name"]
        if not node["spec"].get("unschedulable"):
            cordoned.discard(name)
        elif name not in cordoned:
            cordoned.add(name)
            found.append(name)
    return found


def holders(leases: Iterator[Seen], name: str) -> list[str]:
    """Who held the Lease of that name, one after the other; nobody is left out."""
    found: list[str] = []
    for lease in leases:
        holder = lease["spec"].get("holderIdentity", "")
        if lease["metadata"]["name"] == name and holder and holder not in found[-1:]:
            found.append(holder)
    return found


def ended(pods: Iterator[Seen]) -> set[str]:
    """The UIDs of the pods that were told to end, by an eviction or otherwise."""
    return {pod["metadata"]["uid"] for pod in pods if "deletionTimestamp" in pod["metadata"]}


def evicted(pods: Iterator[Seen]) -> set[str]:
    """The UIDs of the pods that the eviction API ended; API servers say so since v1.26."""
    return {
        pod["metadata"]["uid"]
        for pod in pods
        for condition in pod["status"].get("conditions", ())
        if condition.get("reason") == "EvictionByEvictionAPI"
    }


def evictions(metrics: str) -> int:
    """How many evictions an API server has granted since it was started."""
    return sum(
        int(float(line.rpartition(" ")[2]))
        for line in metrics.splitlines()
        if line.startswith("apiserver_request_total{") and all(each in line for each in _EVICTED)
    )
