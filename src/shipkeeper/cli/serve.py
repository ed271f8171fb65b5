"""`shipkeeper serve`: the console, in a browser."""

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from shipkeeper.cli.backup_flags import HERE, RepositoryFlags
from shipkeeper.cli.execution import open_journal
from shipkeeper.cli.failure import save_crash
from shipkeeper.cli.flags import CURRENT, Cluster, Clusters
from shipkeeper.cli.output import say
from shipkeeper.cli.spelling import spelled
from shipkeeper.paths import state_dir
from shipkeeper.web.server import ServeOptions, serving


async def serve(
    *,
    address: Annotated[str, Parameter(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[
        int, Parameter(help="The port; 0 for any that is free.", validator=Number(gte=0, lte=65535))
    ] = 7717,
    tls_cert_file: Annotated[
        str, Parameter(help="The certificate to serve with (PEM); everybody logs in then.")
    ] = "",
    tls_private_key_file: Annotated[str, Parameter(help="Its key (PEM).")] = "",
    client_ca_file: Annotated[
        str,
        Parameter(
            help="The cluster's client authority (PEM): whoever shows a certificate of it logs in "
            "as whom it names, by impersonation."
        ),
    ] = "",
    repository: RepositoryFlags = HERE,
    cluster: Cluster = CURRENT,
) -> None:
    """Open the console: see the fleet and its runs in a browser, and act on them.

    With several --context, or a pattern, it shows all these clusters, each with a login of its own.
    """
    contexts = cluster.contexts if isinstance(cluster, Clusters) else ()
    if isinstance(cluster, Clusters):
        # A pattern may mean one alone, which is then served as if it was named.
        cluster = cluster.one(contexts[0] if len(contexts) == 1 else "")
    options = ServeOptions(
        host=address,
        port=port,
        certificate=Path(tls_cert_file) if tls_cert_file else None,
        key=Path(tls_private_key_file) if tls_private_key_file else None,
        connection=cluster.options(),
        flags=spelled(cluster),
        directory=state_dir() / "console",
        place=repository.place() if repository.repo else None,
        client_ca=Path(client_ca_file) if client_ca_file else None,
        contexts=contexts if len(contexts) > 1 else (),
    )
    async with serving(options, open_journal(), say, report) as url:
        say(f"the console is at {url} (Ctrl-C ends it; runs that it started go on)")
        await asyncio.Event().wait()


def report(error: Exception) -> None:
    """Say that a request met a bug, and where its traceback is."""
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    try:
        say(f"this is a bug in shipkeeper: {what}; its traceback is in {save_crash(error)}")
    except OSError:
        say(f"this is a bug in shipkeeper: {what}")
