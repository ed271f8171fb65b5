"""One command on several clusters: `--context` given several times, or as a pattern.

What only reads asks all clusters side by side; what acts goes from one to the next, and stops at
the first that it did not succeed in: the others must not get what that one could not take.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import msgspec
from cyclopts import App

from shipkeeper.cli.failure import Failure, failure_of
from shipkeeper.cli.flags import CURRENT, Cluster, Clusters
from shipkeeper.cli.output import Held, holding, say, show
from shipkeeper.engine.report import Column, Report, Table, item_list
from shipkeeper.errors import (
    EXIT_BLOCKED,
    EXIT_ERROR,
    EXIT_FINDINGS,
    EXIT_INCOMPLETE,
    EXIT_INTERRUPTED,
    EXIT_LOCK_HELD,
    EXIT_OK,
    EXIT_USAGE,
    UsageError,
)
from shipkeeper.kube.kubeconfig import (
    ConfigError,
    context_names,
    kubeconfig_files,
)

_FLAG = "--context"
_AT_ONCE = 8
READING = frozenset(
    {
        *(("nodes",), ("nodes", "explain"), ("maintain", "plan")),
        *(("upgrade", "versions"), ("upgrade", "check"), ("upgrade", "plan")),
        *(("certs", "list"), ("certs", "check"), ("users", "list"), ("users", "lint")),
        *(("access", "can-i"), ("access", "who-can"), ("access", "explain")),
        *(("access", "matrix"), ("access", "audit"), ("access", "diff")),
        *(("backup", "list"), ("backup", "diff"), ("runs",)),
    }
)
_ACTING = frozenset({("maintain",), ("maintain", "run"), ("backup", "create")})
# What is begun once, for all of them together.
_TOGETHER = frozenset({("serve",)})
# The exit code of all is that of the cluster that is worst off: the first of these.
_GRAVEST_FIRST = (
    *(EXIT_INTERRUPTED, EXIT_ERROR, EXIT_USAGE, EXIT_LOCK_HELD),
    *(EXIT_BLOCKED, EXIT_INCOMPLETE, EXIT_FINDINGS),
)

Command = Callable[[], Awaitable[object]]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a command said about one cluster, and how it ended there."""

    said: Held
    exit_code: int
    failure: Failure | None = None

    @property
    def context(self) -> str:
        """The context that names the cluster."""
        return self.said.context

    @property
    def value(self) -> dict[str, Any]:
        """What JSON shows of it."""
        parts = {
            "context": self.context,
            "exitCode": self.exit_code,
            "value": self.said.value,
            "error": self.failure,
        }
        return {name: part for name, part in parts.items() if part is not None}


def several_contexts(arguments: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """The contexts that a command line is for, and the line without them; none for just one.

    A pattern (`prod-*`) means all contexts of the kubeconfig that it matches, sorted by name.
    ConfigError if it matches none.
    """
    wished, rest = _taken_out(arguments)
    if len(wished) < 2 and not any(map(_is_pattern, wished)):
        return (), list(arguments)
    named = _value_of("--kubeconfig", arguments)
    known = context_names(kubeconfig_files(named))
    if len(wished) == 1 and wished[0] in known:
        return (), list(arguments)
    found = [each for wish in wished for each in _matching(wish, known)]
    return tuple(dict.fromkeys(found)), rest


def on_each(app: App, contexts: Sequence[str], arguments: list[str]) -> int:
    """Run a command on the cluster of each context, show one report, and return one exit code.

    UsageError if the command is not for several clusters.
    """
    chain = tuple(app.parse_commands(arguments)[0])
    if chain in _TOGETHER:
        return _together(app, contexts, arguments)
    if chain not in READING | _ACTING:
        raise UsageError(
            f"shipkeeper {' '.join(chain)} is for one cluster at a time".replace("  ", " "),
            reason="SeveralClusters",
            hint="name one context with --context, without a pattern",
        )
    commands = {each: _bound(app, arguments, each) for each in contexts}
    is_acting = chain in _ACTING
    answers = asyncio.run(_in_turn(commands) if is_acting else _side_by_side(commands))
    _show(answers)
    return _gravest(answers)


def _together(app: App, contexts: Sequence[str], arguments: list[str]) -> int:
    command, bound, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
    one: Cluster = bound.kwargs.get("cluster", CURRENT)
    several = Clusters(
        kubeconfig=one.kubeconfig, as_=one.as_, as_group=one.as_group, contexts=tuple(contexts)
    )
    asyncio.run(command(*bound.args, **{**bound.kwargs, "cluster": several}))
    return EXIT_OK


def _bound(app: App, arguments: list[str], context: str) -> Command:
    end = arguments.index("--") if "--" in arguments else len(arguments)
    given = [*arguments[:end], f"{_FLAG}={context}", *arguments[end:]]
    command, bound, _ = app.parse_args(given, exit_on_error=False, print_error=False)

    async def run() -> object:
        result = command(*bound.args, **bound.kwargs)
        return await result if inspect.isawaitable(result) else result

    return run


async def _side_by_side(commands: Mapping[str, Command]) -> list[Answer]:
    slots = asyncio.Semaphore(_AT_ONCE)

    async def ask(context: str, command: Command) -> Answer:
        async with slots:
            return await _ask(context, command, takes_text=False)

    return await asyncio.gather(*(ask(*each) for each in commands.items()))


async def _in_turn(commands: Mapping[str, Command]) -> list[Answer]:
    answers: list[Answer] = []
    for context, command in commands.items():
        answers.append(await _ask(context, command, takes_text=True))
        if answers[-1].exit_code != EXIT_OK:
            break
    for context in list(commands)[len(answers) :]:
        say(f"{context}: not begun, since {answers[-1].context} did not succeed")
    return answers


async def _ask(context: str, command: Command, *, takes_text: bool) -> Answer:
    with holding(context, takes_text=takes_text) as said:
        try:
            result = await command()
        except Exception as error:
            failure = failure_of(error)
        else:
            return Answer(said=said, exit_code=result if isinstance(result, int) else EXIT_OK)
    failure.tell(context)
    return Answer(said=said, exit_code=failure.exit_code, failure=failure)


def _show(answers: Sequence[Answer]) -> None:
    said = [each.said for each in answers]
    report = Report(
        value=item_list(each.value for each in answers),
        body=_body(said),
        names=tuple(f"{a.context} {name}" for a in said for r in a.reports for name in r.names),
    )
    show(report, next((each.output for each in said if each.output), None))


def _body(said: Sequence[Held]) -> tuple[Table | str, ...]:
    """Tables of the same columns become one, whose first column is the context."""
    rows: dict[tuple[Column, ...], list[tuple[str, ...]]] = {}
    lines: list[str] = []
    for answer in said:
        for part in (part for report in answer.reports for part in report.body):
            if isinstance(part, Table):
                found = rows.setdefault(part.columns, [])
                found += [(answer.context, *row) for row in part.rows]
            elif part:
                lines += [f"{answer.context}: {line}" for line in part.splitlines()]
    tables = (Table((Column("CONTEXT"), *columns), tuple(each)) for columns, each in rows.items())
    return (*tables, "\n".join(lines))


def _gravest(answers: Sequence[Answer]) -> int:
    codes = {each.exit_code for each in answers}
    return next((code for code in _GRAVEST_FIRST if code in codes), EXIT_OK)


def _taken_out(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    wished: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments)
    for each in waiting:
        if each == "--":
            rest += [each, *waiting]
        elif each == _FLAG:
            wished += [value] if (value := next(waiting, None)) is not None else []
        elif each.startswith(f"{_FLAG}="):
            wished.append(each.removeprefix(f"{_FLAG}="))
        else:
            rest.append(each)
    return wished, rest


def _value_of(flag: str, arguments: Sequence[str]) -> str:
    for each, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if each == flag:
            return following
        if each.startswith(f"{flag}="):
            return each.removeprefix(f"{flag}=")
    return ""


def _is_pattern(wish: str) -> bool:
    return any(each in wish for each in "*?[")


def _matching(wish: str, known: Sequence[str]) -> list[str]:
    found = [wish] if wish in known else sorted(each for each in known if fnmatchcase(each, wish))
    if not found:
        raise ConfigError(
            f"no context matches {wish!r}",
            reason="ContextNotFound",
            hint=f"choose with --context; there are: {', '.join(known) or 'none'}",
        )
    return found
