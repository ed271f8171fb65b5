"""`shipkeeper users create`: a user, and the kubeconfig that they log in with."""

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from shipkeeper.cli.flags import CURRENT, Cluster, DryRun
from shipkeeper.cli.output import say
from shipkeeper.errors import UsageError
from shipkeeper.kube.connection import connect
from shipkeeper.kube.kubeconfig import kubeconfig_files, read_kubeconfig
from shipkeeper.kube.writer import Writer
from shipkeeper.model.duration import parse_duration
from shipkeeper.users.create import How, Wish, kubeconfig, plan, require_sensible
from shipkeeper.users.create import create as make


async def create(
    name: str,
    /,
    *,
    how: Annotated[How, Parameter(help="What they prove by who they are.")],
    group: Annotated[tuple[str, ...], Parameter(help="A group; may be repeated.")] = (),
    namespace: Annotated[
        str, Parameter(name=("--namespace", "-n"), help="The namespace of a ServiceAccount.")
    ] = "default",
    expires: Annotated[
        str, Parameter(help="How long it lasts; the cluster may shorten it.")
    ] = "24h",
    write: Annotated[
        str, Parameter(help="The kubeconfig to write; NAME.kubeconfig if not given.")
    ] = "",
    dry_run: DryRun = "none",
    cluster: Cluster = CURRENT,
) -> None:
    """Make a user by certificate or ServiceAccount token, and a kubeconfig that is ready."""
    wish = Wish(
        name=name, groups=group, how=how, namespace=namespace, lifetime=parse_duration(expires)
    )
    require_sensible(wish)
    path = _free(write or f"{name.replace('/', '_')}.kubeconfig")
    for line in (*plan(wish), f"write {path}, for its owner alone"):
        say(line)
    if dry_run == "client":
        return
    known = read_kubeconfig(kubeconfig_files(cluster.kubeconfig), cluster.context).cluster
    async with connect(cluster.options()) as connection:
        made = await make(wish, Writer(connection, dry_run=dry_run == "server"))
    if dry_run == "server":
        say("the API server would do it")
        return
    _write(path, kubeconfig(known, made, namespace if how == "serviceaccount" else ""))
    say(f"{path}: {made.user} until {made.ends:%Y-%m-%d %H:%M} UTC")


def _free(name: str) -> Path:
    path = Path(name)
    if path.exists():
        raise UsageError(
            f"{path} is there already", reason="FileExists", hint="choose another with --write"
        )
    return path


def _write(path: Path, content: bytes) -> None:
    # Private from its first moment on, and never in the place of another.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
