"""Running one command line: nothing is raised, whatever happens."""

import inspect
from contextlib import suppress
from itertools import takewhile

from shipkeeper.cli.app import app
from shipkeeper.cli.failure import failure_of
from shipkeeper.cli.output import say
from shipkeeper.errors import EXIT_OK
from shipkeeper.traces.process import tracing


def run(arguments: list[str]) -> int:
    """Run a command line, on each of its clusters, and return its exit code."""
    try:
        result = _result(_as_kubectl_reads_them(arguments))
    except (Exception, KeyboardInterrupt) as error:
        failure = failure_of(error)
        failure.tell()
        result = failure.exit_code
    # Only now: neither a run nor what is said of it waits for whoever receives its trace.
    with suppress(KeyboardInterrupt):
        if trouble := tracing.close():
            say(f"Warning: {trouble}")
    return result if isinstance(result, int) else EXIT_OK


def _result(arguments: list[str]) -> object:
    asks_for_help = _asks_for_help(arguments)
    # What a command is for is asked of no cluster.
    if not asks_for_help and any(each.partition("=")[0] == "--context" for each in arguments):
        # Here and not above: a command line must answer at once.
        from shipkeeper.cli.clusters import on_each, several_contexts

        contexts, rest = several_contexts(arguments)
        if contexts:
            return on_each(app, contexts, rest)
    if asks_for_help:
        _let_command_speak(arguments)
    return app(
        arguments,
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
    )


def _asks_for_help(arguments: list[str]) -> bool:
    # What comes after -- is not for shipkeeper.
    flags = takewhile(lambda each: each != "--", arguments)
    return any(each in ("--help", "-h") for each in flags)


def _let_command_speak(arguments: list[str]) -> None:
    """A list of commands has a line on each, its own page all that it says of itself."""
    words = takewhile(lambda each: not each.startswith("-"), arguments)
    command = app.parse_commands(list(words))[1][-1]
    said = command.default_command and inspect.getdoc(command.default_command)
    if said:
        command.help = said


def _as_kubectl_reads_them(arguments: list[str]) -> list[str]:
    """`--dry-run` may stand without a value, and then means client."""
    if "--dry-run" not in arguments:
        return arguments
    say("--dry-run is deprecated and can be replaced with --dry-run=client.")
    return ["--dry-run=client" if each == "--dry-run" else each for each in arguments]
