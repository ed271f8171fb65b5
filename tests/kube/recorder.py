"""The true history of a namespace, as kubectl's own watch saw it: no code shared with ours."""

import asyncio
import json
import shutil
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.kube.objects import MINE


class State(msgspec.Struct, frozen=True):
    """An object as it was at one revision; `value` is its data's key `n`."""

    name: str
    uid: str
    revision: int
    value: str


class Moment(msgspec.Struct, frozen=True):
    """One change: ADDED, MODIFIED or DELETED, and the object's state with it."""

    type: str
    state: State


class Recorder:
    """A kubectl that watches; everything that it printed so far is its history."""

    def __init__(self, output: asyncio.StreamReader) -> None:
        self._output = output
        self._printed = ""

    async def until(self, name: str) -> list[Moment]:
        """The history from the beginning until an object of this name appears."""
        while not any(moment.state.name == name for moment in self._history()):
            chunk = await self._output.read(2**16)
            assert chunk, "kubectl ended early"
            self._printed += chunk.decode()
        return list(self._history())

    def _history(self) -> Iterator[Moment]:
        for event in _documents(self._printed):
            metadata = event["object"]["metadata"]
            state = State(
                name=metadata["name"],
                uid=metadata["uid"],
                revision=int(metadata["resourceVersion"]),
                value=event["object"]["data"]["n"],
            )
            yield Moment(event["type"], state)


@asynccontextmanager
async def recording(kubeconfig: Path, plural: str, namespace: str) -> AsyncGenerator[Recorder]:
    """Watch the tests' own objects of one kind with kubectl."""
    kubectl = shutil.which("kubectl", path=str(Path(sys.executable).parent))
    assert kubectl
    arguments = ["get", plural, "--watch", "--output-watch-events", "-o", "json", "-l", MINE]
    process = await asyncio.create_subprocess_exec(
        kubectl,
        f"--kubeconfig={kubeconfig}",
        f"--namespace={namespace}",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    try:
        yield Recorder(process.stdout)
    finally:
        process.kill()
        await process.communicate()


def _documents(text: str) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder()
    position = 0
    while position < len(text):
        try:
            document, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError:
            return
        yield document
        position = _skip_space(text, position)


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position
