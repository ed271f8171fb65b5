"""`shipkeeper login-gateway`: logins by a directory, for API servers and their users."""

import asyncio
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from shipkeeper.cli.output import say, show, write
from shipkeeper.cli.output_flags import Output
from shipkeeper.errors import EXIT_ERROR, UsageError
from shipkeeper.ldap.pool import open_pool
from shipkeeper.login import emit as emitted
from shipkeeper.login.check import Step, check_report, explain
from shipkeeper.login.gateway import REVIEW, gateway
from shipkeeper.login.password_file import read_password
from shipkeeper.login.settings import Settings, read_settings
from shipkeeper.model.duration import format_duration


async def login_gateway(
    configuration: str,
    /,
    *,
    check: Annotated[str, Parameter(help="Explain each step of a user's login, and end.")] = "",
    password_file: Annotated[
        str, Parameter(help="With --check: a file with the user's password, to be tried.")
    ] = "",
    emit: Annotated[
        Literal["webhook-config", "deployment", "kubeconfig"] | None,
        Parameter(help="Print what the API servers, the cluster or its users need, and end."),
    ] = None,
    certificate_authority: Annotated[
        str, Parameter(help="With --emit: who signed the gateway's certificate (PEM).")
    ] = "",
    image: Annotated[str, Parameter(help="With --emit=deployment: the image to run.")] = "",
    namespace: Annotated[
        str, Parameter(name=("--namespace", "-n"), help="With --emit=deployment: where.")
    ] = "kube-system",
    cluster: Annotated[str, Parameter(help="With --emit=kubeconfig: its name.")] = "kubernetes",
    api_server: Annotated[str, Parameter(help="With --emit=kubeconfig: its URL.")] = "",
    old_clients: Annotated[
        bool, Parameter(help="With --emit=kubeconfig: for kubectl older than 1.22.")
    ] = False,
    output: Output = None,
) -> int:
    """Let users of an LDAP directory into clusters; CONFIGURATION is a YAML file."""
    settings = read_settings(Path(configuration))
    if check:
        return await _check(settings, check, password_file, output)
    if emit is None:
        async with gateway(settings, say) as url:
            say(f"logins and TokenReviews are answered at {url}")
            await asyncio.Event().wait()
        return 0
    made = emitted.Emitted(
        url=settings.url,
        review_path=REVIEW,
        authority=_authority(certificate_authority),
        port=settings.listen.port,
        image=_needed(image, "--image") if emit == "deployment" else "",
        namespace=namespace,
        cache=format_duration(settings.cache),
        client_ca=settings.listen.client_ca is not None,
        is_for_old_clients=old_clients,
    )
    match emit:
        case "webhook-config":
            write(emitted.webhook_config(made))
        case "deployment":
            write(emitted.deployment(made))
        case "kubeconfig":
            write(emitted.kubeconfig(made, cluster, _needed(api_server, "--api-server")))
    return 0


async def _check(settings: Settings, login: str, password_file: str, output: str | None) -> int:
    password = read_password(password_file) if password_file else None
    async with open_pool(settings.pool) as pool:
        steps: list[Step] = [step async for step in explain(settings, pool, login, password)]
    show(check_report(login, steps), output)
    # A server that cannot be reached is passed over; a step that fails is the end of a login.
    is_failed = any(
        each.result == "failed" and not each.step.startswith("server ") for each in steps
    )
    return EXIT_ERROR if is_failed else 0


def _authority(path: str) -> str:
    try:
        return Path(path).read_text() if path else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read {path}: {error}", reason="NoAuthority", hint="name a PEM file"
        ) from error


def _needed(value: str, flag: str) -> str:
    if not value:
        raise UsageError(f"{flag} is missing", reason="NotGiven", hint=f"{flag}=…")
    return value
