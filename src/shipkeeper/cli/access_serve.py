"""`shipkeeper access serve`: the webhook of an API server's Webhook mode."""

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from shipkeeper.access.serving import ServeOptions, serving
from shipkeeper.cli.output import say
from shipkeeper.serving.https import Listen, parse_address


async def serve(
    policy: str,
    /,
    *,
    tls_cert_file: Annotated[str, Parameter(help="The certificate to serve with (PEM).")],
    tls_private_key_file: Annotated[str, Parameter(help="Its key (PEM).")],
    client_ca_file: Annotated[
        str, Parameter(help="Answer only clients with a certificate of this authority (PEM).")
    ] = "",
    address: Annotated[str, Parameter(help="Where to listen, HOST:PORT.")] = "127.0.0.1:9443",
    deny: Annotated[
        bool, Parameter(help="Say no for good where the policy does not say yes.")
    ] = False,
) -> None:
    """Answer SubjectAccessReviews from an ABAC file or a folder of RBAC, reloaded on change."""
    host, port = parse_address(address)
    listen = Listen(
        certificate=Path(tls_cert_file),
        key=Path(tls_private_key_file),
        client_ca=Path(client_ca_file) if client_ca_file else None,
        host=host,
        port=port,
    )
    options = ServeOptions(policy=Path(policy), listen=listen, denies=deny)
    async with serving(options, say) as url:
        say(f"answering SubjectAccessReviews at {url}")
        await asyncio.Event().wait()
