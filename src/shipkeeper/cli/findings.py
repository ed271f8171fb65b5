"""What commands that find things have in common: formats, baselines, exit codes 4 and 3."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Group, Parameter

from shipkeeper import __version__
from shipkeeper.cli.output import say, show, write
from shipkeeper.engine.baseline import Baseline, accept, baseline_of
from shipkeeper.engine.exchange import junit, sarif
from shipkeeper.engine.finding import Findings, Severity, Unchecked
from shipkeeper.engine.findings_page import findings_page
from shipkeeper.engine.findings_report import findings_report
from shipkeeper.errors import EXIT_FINDINGS, IncompleteError, ShipkeeperError, UsageError
from shipkeeper.model.words import counted

_FINDINGS = Group("Findings", sort_key=3)
# How many looks that failed an error names.
_NAMED = 3

FindingsOutput = Annotated[
    Literal["json", "yaml", "wide", "name", "sarif", "junit", "html"] | None,
    Parameter(name=("--output", "-o"), help="Output format."),
]


class FoundError(ShipkeeperError):
    """Something was found that nobody has accepted, as bad as `--fail-on` says or worse."""

    exit_code = EXIT_FINDINGS


@Parameter(name="*", group=_FINDINGS)
@dataclass(frozen=True, kw_only=True)
class FindingsFlags:
    """From when on findings are a failure, and which are accepted."""

    fail_on: Annotated[
        Literal["critical", "high", "medium", "low", "never"],
        Parameter(help="From which severity on the exit code is 4."),
    ] = "high"
    baseline: Annotated[str, Parameter(help="A file of findings that are accepted.")] = ""
    write_baseline: Annotated[str, Parameter(help="Write such a file of all there is now.")] = ""


USUAL = FindingsFlags()


def tell_findings(found: Findings, output: FindingsOutput, flags: FindingsFlags) -> None:
    """Show findings as they are wanted; FoundError (exit code 4) if there are such as count.

    Without such, IncompleteError (exit code 3) if a look failed, unless nothing is a failure.
    """
    # Read before anything is written, for both may be the same file.
    known = _read(flags.baseline) if flags.baseline else Baseline()
    marked = accept(found, known)
    if flags.write_baseline:
        _write(marked, flags.write_baseline)
    _show(marked, output)
    if flags.fail_on == "never":
        return
    bad = marked.at_least(Severity(flags.fail_on))
    if bad:
        raise FoundError(
            f"{counted(len(bad), 'finding')} of severity {flags.fail_on} or worse",
            reason="Findings",
            hint="mend them, or accept them in a file for --baseline",
        )
    if marked.gaps:
        raise _incomplete(marked.gaps)


def _incomplete(gaps: tuple[Unchecked, ...]) -> IncompleteError:
    named = ", ".join(each.what for each in gaps[:_NAMED])
    more = f" and {len(gaps) - _NAMED} more" if len(gaps) > _NAMED else ""
    return IncompleteError(
        f"{counted(len(gaps), 'thing')} could not be looked at: {named}{more}",
        reason="NotChecked",
        hint="see why above, and look as somebody who may; --fail-on never lets it pass",
    )


def _show(found: Findings, output: FindingsOutput) -> None:
    match output:
        case "sarif":
            write(sarif(found, __version__))
        case "junit":
            write(junit(found))
        case "html":
            write(findings_page(found))
        case _:
            show(findings_report(found), output)


def _read(path: str) -> Baseline:
    try:
        return msgspec.yaml.decode(Path(path).read_bytes(), type=Baseline)
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError(
            f"{path} is no baseline: {error}",
            reason="BadBaseline",
            hint="make one with --write-baseline FILE",
        ) from error


def _write(found: Findings, path: str) -> None:
    accepted = baseline_of(found, "accepted as it was found")
    try:
        Path(path).write_bytes(msgspec.yaml.encode(msgspec.to_builtins(accepted)))
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error}", reason="NoFile", hint="name a file that you may write"
        ) from error
    say(f"{counted(len(accepted.accepted), 'finding')} written to {path}; say why you accept each")
