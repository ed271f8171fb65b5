"""schemathesis as a process of its own, let loose on an API that is served."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

Json = dict[str, Any]
_COMPONENTS = "#/components/schemas/"
# What is generated follows from the document alone: neither chance nor the clock has a say.
_FLAGS = (
    "--generation-deterministic",
    "--checks=not_a_server_error",
    "--continue-on-failure",
    "--no-shrink",
    "--suppress-health-check=all",
    "--output-sanitize=false",
    "--tls-verify=false",
    "--warnings=off",
    "--no-color",
)


class _Content(msgspec.Struct, frozen=True):
    text: str = ""


class _Header(msgspec.Struct, frozen=True):
    name: str
    value: str


class _Answer(msgspec.Struct, frozen=True):
    status: int
    headers: tuple[_Header, ...] = ()
    content: _Content = _Content()


class _Asked(msgspec.Struct, frozen=True):
    method: str
    url: str


class Exchange(msgspec.Struct, frozen=True):
    """A request that schemathesis made, and the answer; its status is 0 if there was none."""

    request: _Asked
    response: _Answer

    @property
    def status(self) -> int:
        return self.response.status

    @property
    def told(self) -> str:
        """Everything that was answered: headers and body."""
        headers = "\n".join(f"{each.name}: {each.value}" for each in self.response.headers)
        return f"{headers}\n{self.response.content.text}"


class _Log(msgspec.Struct, frozen=True):
    entries: tuple[Exchange, ...]


class _Archive(msgspec.Struct, frozen=True):
    log: _Log


def document(title: str, paths: Json, structs: Sequence[type]) -> Json:
    """An OpenAPI document of paths and of the structs that they refer to by `reference`."""
    _, schemas = msgspec.json.schema_components(structs, ref_template=_COMPONENTS + "{name}")
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def reference(struct: type, structs: Sequence[type]) -> Json:
    """How a document refers to one of its structs."""
    found, _ = msgspec.json.schema_components(structs, ref_template=_COMPONENTS + "{name}")
    return found[list(structs).index(struct)]


async def let_loose(
    described: Json,
    url: str,
    folder: Path,
    *,
    headers: Mapping[str, str],
    examples: int,
    with_edges: bool = True,
) -> tuple[Exchange, ...]:
    """All that was asked and answered; AssertionError with its report if it finds anything.

    So many `examples` of each operation at the most, beside those of the document, and
    `with_edges` every value at an edge of a schema.
    """
    phases = ("examples", *(("coverage",) if with_edges else ()), "fuzzing")
    file, archive = folder / "openapi.json", folder / "exchanges.har"
    file.write_bytes(msgspec.json.encode(described))
    program = Path(sys.executable).parent / "schemathesis"
    process = await asyncio.create_subprocess_exec(
        *(str(program), "run", str(file), f"--url={url}", *_FLAGS),
        *(f"--phases={','.join(phases)}", f"--max-examples={examples}"),
        f"--report-har-path={archive}",
        *(f"--header={name}:{value}" for name, value in headers.items()),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()[-8_000:]
    return msgspec.json.decode(archive.read_bytes(), type=_Archive).log.entries
