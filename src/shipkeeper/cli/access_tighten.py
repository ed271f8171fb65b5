"""`shipkeeper access suggest|convert`: roles that say no more than what is needed."""

import gzip
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter

from shipkeeper.access.abac import parse_abac
from shipkeeper.access.chain import Chain
from shipkeeper.access.convert import Conversion
from shipkeeper.access.convert import convert as make_conversion
from shipkeeper.access.needs import needs_of
from shipkeeper.access.suggest import Needs, Suggestion
from shipkeeper.cli.access_flags import LIVE, PolicyFlags
from shipkeeper.cli.access_sources import opened_policy
from shipkeeper.cli.backup_flags import HERE, RepositoryFlags
from shipkeeper.cli.flags import Output
from shipkeeper.cli.output import say, show
from shipkeeper.engine.report import Report, item_list
from shipkeeper.errors import IncompleteError, UsageError
from shipkeeper.model.words import counted


async def suggest(
    *logs: Annotated[str, Parameter(allow_leading_hyphen=True)],
    subject: Annotated[
        tuple[str, ...],
        Parameter(name=("--subject", "-s"), help="Only this user or ServiceAccount (full name)."),
    ] = (),
    names: Annotated[bool, Parameter(help="Allow only the object names that occurred.")] = False,
    denied: Annotated[bool, Parameter(help="Also what was refused.")] = False,
    offline: Annotated[bool, Parameter(help="Do not compare with what is granted now.")] = False,
    output: Output = None,
    policy: PolicyFlags = LIVE,
    repository: RepositoryFlags = HERE,
) -> None:
    """Suggest least-privilege roles from audit logs (files, .gz too, or - for stdin).

    Compared with what is granted now: what was never used, and what would be missing.
    """
    if unknown := next((each for each in logs if each.startswith("-") and each != "-"), None):
        raise UsageError(
            f"Unknown option: {unknown}.",
            reason="NoOption",
            hint="see: shipkeeper access suggest --help",
        )
    needs = Needs(with_names=names)
    bad = sum(_gather(Path(log), needs, denied=denied) for log in logs or ("-",))
    chain = None
    if not offline:
        async with opened_policy(policy, repository) as (found, _):
            chain = Chain(found)
    chosen = subject or sorted(needs.by_subject)
    suggestions = [needs.suggest(each, chain) for each in chosen]
    show(suggestions_report(suggestions), output)
    if bad:
        raise IncompleteError(
            f"{counted(bad, 'line')} of the logs made no sense",
            reason="BadLines",
            hint="name audit logs of one JSON object a line",
        )


def _gather(path: Path, needs: Needs, *, denied: bool) -> int:
    """Read a log line by line, however long it is; returns how many lines made no sense."""
    bad = 0
    try:
        for line in _lines(path):
            try:
                for asked in needs_of(line, with_denied=denied):
                    needs.add(asked)
            except msgspec.MsgspecError:
                bad += bool(line.strip())
    except (OSError, EOFError, zlib.error) as error:
        # Roles by a part of a log would be too narrow for what is done.
        raise UsageError(
            f"cannot read {path}: {error}", reason="NoLog", hint="name audit logs of an API server"
        ) from error
    return bad


def _lines(path: Path) -> Iterator[bytes]:
    if str(path) == "-":
        yield from sys.stdin.buffer
        return
    with path.open("rb") as log:
        yield from gzip.GzipFile(fileobj=log) if path.suffix == ".gz" else log


def suggestions_report(found: list[Suggestion]) -> Report:
    """Manifests to apply, with what they replace as comments."""
    parts = [_suggestion(each) for each in found if each.manifests or each.unused]
    return Report(
        value=item_list(found),
        body=tuple(parts),
        names=tuple(each.subject for each in found),
    )


def _suggestion(found: Suggestion) -> str:
    lines = [f"# {found.subject}"]
    lines += [f"# granted and never used: {each}" for each in found.unused]
    lines += [f"# not granted now: {each}" for each in found.missing]
    lines += [f"# not in the log: {each}" for each in found.besides]
    return "\n".join([*lines, _yaml(found.manifests)])


def _yaml(manifests: tuple[dict[str, Any], ...]) -> str:
    return "".join(f"---\n{msgspec.yaml.encode(each).decode()}" for each in manifests).rstrip("\n")


def convert(
    policy_file: str,
    /,
    *,
    output: Output = None,
) -> None:
    """Turn an ABAC policy file into RBAC, with a proof that both allow the same.

    Lines that RBAC cannot say are told and left out (exit code 3); nothing is made broader.
    """
    try:
        text = Path(policy_file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"cannot read {policy_file}: {error}",
            reason="NoPolicyFile",
            hint="name the file of --authorization-policy-file",
        ) from error
    made = make_conversion(parse_abac(text, policy_file))
    show(conversion_report(made), output)
    for gap in made.gaps:
        say(f"line {gap.line}{' is left out' if gap.is_left_out else ''}: {gap.why}")
    say(f"proven: {counted(made.proof.requests, 'request')}, all answered alike")
    left_out = [gap for gap in made.gaps if gap.is_left_out]
    if left_out:
        raise IncompleteError(
            f"RBAC cannot say {counted(len(left_out), 'line')} of {policy_file}",
            reason="NotExpressible",
            hint="keep ABAC in the chain for them, or decide what to grant instead",
        )


def conversion_report(made: Conversion) -> Report:
    """The roles and bindings as manifests."""
    names = tuple(f"{each['kind'].lower()}/{each['metadata']['name']}" for each in made.manifests)
    return Report(value=made, body=(_yaml(made.manifests),), names=names)
