"""`shipkeeper login`: what kubectl runs to log a user in by a directory."""

import base64
import binascii
import getpass
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from shipkeeper.cli.output import write
from shipkeeper.errors import UsageError
from shipkeeper.login.client import Gateway, Kept, current_token, trust
from shipkeeper.login.credential import asked_version, credential
from shipkeeper.login.password_file import read_password

_TERMINAL = Path("/dev/tty")


def login(
    *,
    server: Annotated[str, Parameter(help="The gateway, https://HOST:PORT.")],
    user: Annotated[
        str, Parameter(help="The name to log in as; if not given, this account's.")
    ] = "",
    certificate_authority: Annotated[
        str, Parameter(help="Who signed the gateway's certificate (PEM).")
    ] = "",
    certificate_authority_data: Annotated[str, Parameter(help="The same in base64.")] = "",
    password_file: Annotated[
        str, Parameter(help="A file with the password, instead of asking for it.")
    ] = "",
    forget: Annotated[bool, Parameter(help="Log out: forget the session.")] = False,
) -> None:
    """Print a credential for kubectl; the password is asked for once a session."""
    version = asked_version(os.environ.get("KUBERNETES_EXEC_INFO", ""))
    name = user or getpass.getuser()
    kept = Kept(server, name)
    if forget:
        kept.forget()
        return
    gateway = Gateway(server, trust(certificate_authority, _decoded(certificate_authority_data)))
    issued = current_token(
        gateway,
        kept,
        name,
        lambda: read_password(password_file) if password_file else _ask(name, server),
    )
    write(credential(version, issued.token, datetime.fromtimestamp(issued.ends, UTC)))


def _ask(name: str, server: str) -> str:
    try:
        # Nowhere but on the terminal: stdout is for kubectl, and stdin may be a manifest.
        with _TERMINAL.open("r+b", buffering=0):
            return getpass.getpass(f"Password of {name} for {server}: ")
    except (OSError, EOFError) as error:
        raise UsageError(
            "a password is needed, and there is no terminal to ask for it",
            reason="NoPassword",
            hint="log in on a terminal first, or give --password-file",
        ) from error


def _decoded(data: str) -> bytes | None:
    try:
        return base64.b64decode(data, validate=True) if data else None
    except binascii.Error as error:
        raise UsageError(
            f"--certificate-authority-data is not base64: {error}",
            reason="NoAuthority",
            hint="copy it from the kubeconfig as a whole",
        ) from error
