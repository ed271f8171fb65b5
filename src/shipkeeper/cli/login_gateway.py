"""`shipkeeper login-gateway`: logins by a directory, for API servers and their users."""

import asyncio
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter

from shipkeeper.cli.output import say, show, write
from shipkeeper.cli.output_flags import Output
from shipkeeper.errors import EXIT_ERROR, UsageError
from shipkeeper.kube.kubeconfig import ConfigError, kubeconfig_files, read_kubeconfig
from shipkeeper.ldap.pool import open_pool
from shipkeeper.login import emit as emitted
from shipkeeper.login.check import Step, check_report, explain
from shipkeeper.login.gateway import REVIEW, gateway
from shipkeeper.login.password_file import read_password
from shipkeeper.login.settings import Settings, read_settings
from shipkeeper.model.duration import format_duration


@Parameter(name="*", group=Group("With --emit", sort_key=1))
@dataclass(frozen=True, kw_only=True)
class EmitFlags:
    """What is printed for the API servers, the cluster or its users."""

    emit: Annotated[
        Literal["webhook-config", "deployment", "kubeconfig"] | None,
        Parameter(help="Print what the API servers, the cluster or its users need, and end."),
    ] = None
    certificate_authority: Annotated[
        str, Parameter(help="Who signed the gateway's certificate (PEM).")
    ] = ""
    image: Annotated[str, Parameter(help="With --emit=deployment: the image to run.")] = ""
    namespace: Annotated[
        str, Parameter(name=("--namespace", "-n"), help="With --emit=deployment: where.")
    ] = "kube-system"
    cluster: Annotated[str, Parameter(help="With --emit=kubeconfig: its name.")] = "kubernetes"
    api_server: Annotated[
        str,
        Parameter(help="With --emit=kubeconfig: its URL; that of your kubeconfig if not given."),
    ] = ""
    api_server_authority: Annotated[
        str,
        Parameter(
            help="With --emit=kubeconfig: who signed the API server's certificate (PEM); whom your "
            "kubeconfig trusts by that URL if not given."
        ),
    ] = ""
    old_clients: Annotated[
        bool, Parameter(help="With --emit=kubeconfig: for kubectl older than 1.22.")
    ] = False

    def text(self, settings: Settings) -> str:
        """The text that was asked for; UsageError if it lacks something."""
        made = emitted.Emitted(
            url=settings.url,
            review_path=REVIEW,
            authority=_authority(self.certificate_authority),
            port=settings.listen.port,
            image=_needed(self.image, "--image") if self.emit == "deployment" else "",
            namespace=self.namespace,
            cache=format_duration(settings.cache),
            client_ca=settings.listen.client_ca is not None,
            is_for_old_clients=self.old_clients,
        )
        match self.emit:
            case "webhook-config":
                return emitted.webhook_config(made)
            case "deployment":
                return emitted.deployment(made)
            case _:
                place = _place(self.api_server, self.api_server_authority)
                return emitted.kubeconfig(made, self.cluster, place)


_NOTHING = EmitFlags()


async def login_gateway(
    configuration: str,
    /,
    *,
    check: Annotated[str, Parameter(help="Explain each step of a user's login, and end.")] = "",
    password_file: Annotated[
        str, Parameter(help="With --check: a file with the user's password, to be tried.")
    ] = "",
    wanted: EmitFlags = _NOTHING,
    output: Output = None,
) -> int:
    """Let users of an LDAP directory into clusters; CONFIGURATION is a YAML file."""
    settings = read_settings(Path(configuration))
    if check:
        return await _check(settings, check, password_file, output)
    if wanted.emit is not None:
        write(wanted.text(settings))
        return 0
    async with gateway(settings, say) as url:
        say(f"logins and TokenReviews are answered at {url}")
        await asyncio.Event().wait()
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


def _place(server: str, authority: str) -> dict[str, Any]:
    """Where the cluster is and whom it is trusted by: as given, else as this user comes to it."""
    if server and authority:
        return _trusted(server, _authority(authority).encode())
    try:
        own = read_kubeconfig(kubeconfig_files(""), "").cluster
    except ConfigError:
        own = {}
    place = own if server in ("", own.get("server")) else {"server": server}
    if not place:
        _needed("", "--api-server")
    url = str(place["server"])
    if authority:
        return _trusted(url, _authority(authority).encode())
    if "certificate-authority" in place:
        return _trusted(url, Path(str(place["certificate-authority"])).read_bytes())
    if "certificate-authority-data" in place:
        return {"server": url, "certificate-authority-data": place["certificate-authority-data"]}
    say(
        f"warning: {url} will be trusted by whom each user's system trusts: if that is not meant, "
        "name its authority with --api-server-authority"
    )
    return {"server": url}


def _trusted(server: str, pem: bytes) -> dict[str, Any]:
    return {"server": server, "certificate-authority-data": b64encode(pem).decode()}


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
