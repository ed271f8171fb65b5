"""`shipkeeper sandbox`: a real control plane on this machine, with hollow nodes or real hosts."""

import os
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from cyclopts import App, Parameter

from shipkeeper.cli.flags import Output
from shipkeeper.cli.output import say, show, write
from shipkeeper.engine.report import Column, Report, Table, item_list
from shipkeeper.errors import UsageError
from shipkeeper.sandbox import Sandbox, SandboxStatus
from shipkeeper.sandbox.assets import NEWEST
from shipkeeper.sandbox.hollow import NodeGroup
from shipkeeper.sandbox.lab import Lab

DEFAULT_NAME = "default"

sandbox = App(name="sandbox")
sandbox.command("shipkeeper.cli.sandbox_host:host", name="host", help="Do things to hosts.")

_COLUMNS = (
    Column("NAME"),
    Column("STATE"),
    Column("VERSION"),
    Column("SERVER"),
    Column("STOPPED"),
    Column("KUBECONFIG", wide=True),
)


@sandbox.command
def up(
    name: str = DEFAULT_NAME,
    /,
    *,
    kubernetes_version: Annotated[str, Parameter(help="Such as v1.37.2, or 1.36.")] = NEWEST,
    nodes: Annotated[
        int | Literal["real"],
        Parameter(help="How many hollow nodes there are to be, or real: hosts of their own."),
    ] = 3,
    zones: Annotated[int, Parameter(help="How many zones hollow nodes stand in, in turn.")] = 3,
    control_planes: Annotated[
        Literal[1, 3], Parameter(help="How many real hosts carry the control plane.")
    ] = 1,
    workers: Annotated[int, Parameter(help="How many real hosts beside them.")] = 3,
) -> None:
    """Make a sandbox run; one that runs already is left as it is, and gets the nodes it lacks."""
    if nodes == "real":
        _up_lab(name, kubernetes_version, control_planes, workers)
        return
    if name in Lab.names():
        raise UsageError(
            f"there is a sandbox {name} already, with real nodes",
            reason="NameTaken",
            hint=f"choose another name, or say --nodes real for {name}",
        )
    made = Sandbox.up(name, kubernetes_version, say)
    missing = nodes - len(made.hollow.nodes())
    if missing > 0:
        made.hollow.add_nodes(NodeGroup(count=missing, zones=zones))
        say(f"registered {missing} hollow nodes")
    say(f"use it with: export KUBECONFIG=$(shipkeeper sandbox kubeconfig {name})")


def _up_lab(name: str, version: str, control_planes: int, workers: int) -> None:
    Lab.up(name, version, say, control_planes=control_planes, workers=workers)
    say(f"use it with: shipkeeper sandbox exec {name} -- kubectl get nodes")


@sandbox.command(name="exec")
def execute(name: str, /, *command: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """Run a command where the hosts of a sandbox with real nodes answer to their names."""
    lab = Lab.load(name)
    words = lab.inside("env", f"KUBECONFIG={lab.kubeconfig}", *(command or ("/bin/sh",)))
    os.execvp(words[0], words)  # noqa: S606


@sandbox.command
def image(name: str, /) -> None:
    """Give real hosts an image of this shipkeeper, for its pods there; prints its name."""
    write(f"{Lab.load(name).provide_shipkeeper(say)}\n")


def load(name: str) -> Sandbox | Lab:
    """The sandbox of that name, with hollow nodes or real ones."""
    return Lab.load(name) if name in Lab.names() else Sandbox.load(name)


@sandbox.command
def down(name: str = DEFAULT_NAME, /) -> None:
    """End a sandbox and remove everything of it."""
    if name in Lab.names():
        Lab.remove(name)
    else:
        Sandbox.load(name).down()
    say(f"sandbox {name} is gone")


@sandbox.command
def status(*names: str, output: Output = None) -> None:
    """Show sandboxes and whether they run; all of them unless some are named."""
    found = [load(name).status() for name in names or (*Sandbox.names(), *Lab.names())]
    show(_report(found), output)


@sandbox.command
def kubeconfig(name: str = DEFAULT_NAME, /) -> None:
    """Print the path of a sandbox's kubeconfig."""
    write(f"{load(name).kubeconfig}\n")


class _Row(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    name: str
    state: str
    version: str
    server: str
    kubeconfig: str
    created: datetime
    components: dict[str, str]


def _report(found: list[SandboxStatus]) -> Report:
    rows = [
        _Row(
            name=each.name,
            state=each.state,
            version=each.version,
            server=each.server,
            kubeconfig=str(each.kubeconfig),
            created=each.created,
            components={component.name: component.state for component in each.components},
        )
        for each in found
    ]
    return Report(
        value=item_list(rows),
        body=(Table(_COLUMNS, tuple(map(_cells, rows))),),
        names=tuple(f"sandbox/{row.name}" for row in rows),
    )


def _cells(row: _Row) -> tuple[str, ...]:
    stopped = ",".join(name for name, state in row.components.items() if state != "Running")
    return row.name, row.state, row.version, row.server, stopped or "-", row.kubeconfig
