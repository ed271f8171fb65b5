"""`shipkeeper sandbox host`: what a host does, or fails to do: a hollow node or a real host."""

from typing import Annotated

from cyclopts import App, Parameter

from shipkeeper.cli.output import say
from shipkeeper.cli.sandbox import DEFAULT_NAME, load
from shipkeeper.model.duration import parse_duration
from shipkeeper.sandbox import Sandbox
from shipkeeper.sandbox.hollow import HollowFleet
from shipkeeper.sandbox.lab import Lab

host = App(name="host")

SandboxName = Annotated[str, Parameter(name="--sandbox", help="Which sandbox.")]


def _fleet(sandbox: str) -> HollowFleet:
    return Sandbox.load(sandbox).hollow


@host.command
def reboot(
    node: str,
    /,
    *,
    down_for: Annotated[str, Parameter(help="How long it is away.")] = "2s",
    kernel_version: Annotated[str | None, Parameter(help="The kernel it comes back with.")] = None,
    os_image: Annotated[str | None, Parameter(help="The OS it comes back with.")] = None,
    sandbox: SandboxName = DEFAULT_NAME,
) -> None:
    """Go down, and come back with another boot ID; a real host takes the time it takes."""
    seconds = parse_duration(down_for).total_seconds()
    found = load(sandbox)
    if isinstance(found, Lab):
        say(f"host {node} is up again, its boot ID is {found.reboot(node)}")
        return
    found.hollow.reboot(
        node,
        down_for=seconds,
        kernel_version=kernel_version,
        os_image=os_image,
    )
    say(f"node/{node} goes down for {down_for}")


@host.command
def power_cut(name: str, /, *, sandbox: SandboxName = DEFAULT_NAME) -> None:
    """Take the power of a real host away, in the middle of whatever it does."""
    Lab.load(sandbox).cut_power(name)
    say(f"host {name} has no power")


@host.command
def power_on(name: str, /, *, sandbox: SandboxName = DEFAULT_NAME) -> None:
    """Give a real host its power back, and wait until it is up."""
    Lab.load(sandbox).power_on(name)
    say(f"host {name} is up")


@host.command
def stop_heartbeat(node: str, /, *, sandbox: SandboxName = DEFAULT_NAME) -> None:
    """Let the kubelet of a node die."""
    _fleet(sandbox).stop_heartbeat(node)
    say(f"node/{node} reports no more")


@host.command
def resume_heartbeat(node: str, /, *, sandbox: SandboxName = DEFAULT_NAME) -> None:
    """Start the kubelet of a node again."""
    _fleet(sandbox).resume_heartbeat(node)
    say(f"node/{node} reports again")


@host.command
def hang_deletions(target: str, /, *, sandbox: SandboxName = DEFAULT_NAME) -> None:
    """Never finish the deletion of a node's pods, or of one pod (NAMESPACE/NAME)."""
    _fleet(sandbox).hang_deletions(target)
    say(f"{target}: deletions hang")


@host.command
def release_deletions(target: str, /, *, sandbox: SandboxName = DEFAULT_NAME) -> None:
    """Finish the deletions that hang."""
    _fleet(sandbox).release_deletions(target)
    say(f"{target}: deletions are finished")
