"""`shipkeeper users lint`: what is wrong with token files and bootstrap tokens."""

import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from shipkeeper.cli.findings import USUAL, FindingsFlags, FindingsOutput, tell_findings
from shipkeeper.cli.flags import CURRENT, Cluster
from shipkeeper.engine.finding import Answer, Finding, Findings, Severity, Unchecked
from shipkeeper.errors import UsageError
from shipkeeper.kube.connection import connect
from shipkeeper.kube.errors import ForbiddenError
from shipkeeper.kube.reader import Reader
from shipkeeper.users.bootstrap_tokens import TYPE, lint_bootstrap_tokens
from shipkeeper.users.objects import SECRETS
from shipkeeper.users.token_file import lint_token_file, parse_token_file


async def lint(
    *files: str,
    bootstrap_tokens: Annotated[
        bool, Parameter(help="Look at the cluster's bootstrap tokens, too.")
    ] = False,
    output: FindingsOutput = None,
    findings: FindingsFlags = USUAL,
    cluster: Cluster = CURRENT,
) -> None:
    """Find what is wrong with static token FILES and with bootstrap tokens; no token is shown."""
    if not files and not bootstrap_tokens:
        raise UsageError(
            "nothing is named to look at",
            reason="NoTarget",
            hint="name token files, or look into the cluster with --bootstrap-tokens",
        )
    answers: list[Answer] = [one for each in files for one in _of_file(each)]
    if bootstrap_tokens:
        async with connect(cluster.options()) as connection:
            try:
                # Of this type alone: nobody else's Secrets are read.
                secrets = await Reader(connection).list(SECRETS, field_selector=f"type={TYPE}")
            except ForbiddenError as error:
                answers.append(Unchecked(what="bootstrap tokens", why=error.message, is_gap=True))
            else:
                answers += lint_bootstrap_tokens(secrets.items, datetime.now(UTC))
    tell_findings(Findings.of("tokens", answers), output, findings)


def _of_file(name: str) -> list[Finding]:
    path = Path(name)
    try:
        mode, text = stat.S_IMODE(path.stat().st_mode), path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read {name}: {error}",
            reason="NoFile",
            hint="name a copy of the file of kube-apiserver's --token-auth-file",
        ) from error
    found = list(lint_token_file(parse_token_file(text), name))
    if mode & 0o077:
        found.append(
            Finding(
                rule="file-mode",
                severity=Severity.HIGH,
                target=name,
                message=f"mode {mode:04o}: others than its owner may read it",
                remedy=f"chmod 600 {name}",
                place=name,
            )
        )
    return found
