"""The static token file as kube-apiserver reads it (token/tokenfile), and its faults. Pure.

Nothing in it is a comment, nothing is trimmed, and the file is read once, when the server starts.
"""

import csv
import io
import re
from collections.abc import Iterator

import msgspec

from shipkeeper.engine.finding import Finding, Severity

_COLUMNS = 4
# 128 bits of random letters; what is shorter can be guessed, or was thought up.
_SHORTEST = 22
_OWN = "system:"
_MASTERS = "system:masters"
_FIELD = r'(?:"(?:[^"]|"")*"|[^",\n]*)'
_RECORD = re.compile(rf"{_FIELD}(?:,{_FIELD})*(?=\n|\Z)")
_LETTERS = 8  # different ones in a token

_Fault = tuple[str, Severity, str, str]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One user of the file; `number` counts records from 1."""

    number: int
    line: int
    token: str
    user: str
    uid: str
    groups: tuple[str, ...] = ()
    columns: int = 3


class TokenFile(msgspec.Struct, frozen=True, kw_only=True):
    """The records of a file, those that are too short, and the line that is no CSV."""

    rows: tuple[Row, ...] = ()
    short: tuple[tuple[int, int], ...] = ()
    broken: int = 0


def parse_token_file(text: str) -> TokenFile:
    """The records, with quotes as strict as Go's reader is about them."""
    text = text.replace("\r\n", "\n")
    rows: list[Row] = []
    short: list[tuple[int, int]] = []
    at, number = 0, 0
    while at < len(text):
        line = text.count("\n", 0, at) + 1
        found = _RECORD.match(text, at)
        if found is None:
            return TokenFile(rows=tuple(rows), short=tuple(short), broken=line)
        at = found.end() + 1
        if not found[0]:
            continue
        record = next(csv.reader(io.StringIO(found[0], newline="")))
        number += 1
        if len(record) < _COLUMNS - 1:
            short.append((line, len(record)))
        else:
            rows.append(_row(number, line, record))
    return TokenFile(rows=tuple(rows), short=tuple(short))


def _row(number: int, line: int, record: list[str]) -> Row:
    token, user, uid, *rest = record
    groups = tuple(rest[0].split(",")) if rest and rest[0] else ()
    return Row(
        number=number,
        line=line,
        token=token,
        user=user,
        uid=uid,
        groups=groups,
        columns=len(record),
    )


def lint_token_file(found: TokenFile, path: str) -> Iterator[Finding]:
    """Every fault, without a token in it."""
    if found.broken:
        yield _finding(
            path,
            found.broken,
            "token-unreadable",
            Severity.HIGH,
            "not CSV: a quote is in the wrong place",
            "kube-apiserver does not start with it: mend that line",
        )
    for line, columns in found.short:
        yield _finding(
            path,
            line,
            "token-columns",
            Severity.HIGH,
            f"{columns} columns, and at least three must be",
            'kube-apiserver does not start with it: write token,user,uid,"groups"',
        )
    for row in found.rows:
        yield from _of_row(row, path)
    yield from _between(found.rows, path)
    if found.rows:
        yield _finding(
            path,
            0,
            "token-static",
            Severity.MEDIUM,
            "tokens of a file never end, and go only when every API server is restarted",
            "use tokens of ServiceAccounts, or a directory: shipkeeper login-gateway",
        )


def _of_row(row: Row, path: str) -> Iterator[Finding]:
    for fault in (*_of_token(row), *_of_user(row), *_of_groups(row)):
        yield _finding(path, row.line, *fault)


def _of_token(row: Row) -> Iterator[_Fault]:
    if not row.token:
        message = f"no token for {row.user!r}: nobody is let in by it"
        yield "token-empty", Severity.MEDIUM, message, "take the row out"
    elif row.token.lstrip().startswith("#"):
        message = f"not a comment: a token that begins with # logs {row.user!r} in"
        yield "token-comment", Severity.HIGH, message, "take the row out: there are no comments"
    elif len(row.token) < _SHORTEST or len(set(row.token)) < _LETTERS:
        message = f"the token of {row.user!r} can be guessed"
        yield "token-weak", Severity.HIGH, message, "openssl rand -hex 32"
    if row.token != row.token.strip():
        message = f"the token of {row.user!r} has spaces around it, which no client can send"
        yield "token-space", Severity.MEDIUM, message, "take the spaces out"


def _of_user(row: Row) -> Iterator[_Fault]:
    if not row.user or row.user != row.user.strip():
        message = f"the user is {row.user!r}: spaces belong to the name"
        yield "user-space", Severity.MEDIUM, message, "write the name without spaces around it"
    if row.user.startswith(_OWN):
        message = f"{row.user} is one of Kubernetes' own names: whoever has the token is it"
        yield "user-system", Severity.HIGH, message, "give the user a name of its own"
    if not row.uid:
        message = f"{row.user!r} has no uid: a later user of the name is the same"
        yield "uid-empty", Severity.LOW, message, "give every user a uid that is never used again"


def _of_groups(row: Row) -> Iterator[_Fault]:
    if row.columns > _COLUMNS:
        message = f"{row.columns} columns: {row.user!r} is in the first group alone"
        remedy = 'put all groups into one pair of quotes: "a,b"'
        yield "groups-unquoted", Severity.HIGH, message, remedy
    for group in row.groups:
        if not group or group != group.strip():
            message = f"{row.user!r} is in the group {group!r}: spaces belong to the name"
            remedy = "write groups without spaces around them"
            yield "group-space", Severity.MEDIUM, message, remedy
        if group == _MASTERS:
            message = f"{row.user!r} is in system:masters: no authorizer is asked about it"
            remedy = "bind a group of your own to cluster-admin, which can be taken back"
            yield "group-masters", Severity.HIGH, message, remedy
        elif group.strip().startswith(_OWN):
            message = f"{row.user!r} is in {group.strip()}, one of Kubernetes' own groups"
            yield "group-system", Severity.HIGH, message, "use groups of your own"


def _between(rows: tuple[Row, ...], path: str) -> Iterator[Finding]:
    tokens: dict[str, Row] = {}
    users: dict[str, Row] = {}
    uids: dict[str, Row] = {}
    for row in rows:
        earlier = tokens.get(row.token)
        if row.token and earlier:
            yield _finding(
                path,
                row.line,
                "token-twice",
                Severity.HIGH,
                f"the token of line {earlier.line} again: it is {row.user!r} alone, "
                f"not {earlier.user!r}",
                "give everybody a token of their own",
            )
        same = users.get(row.user)
        if same and (same.uid != row.uid or set(same.groups) != set(row.groups)):
            yield _finding(
                path,
                row.line,
                "user-twice",
                Severity.MEDIUM,
                f"{row.user!r} is somebody else here than in line {same.line}: "
                "other groups or another uid",
                "make the rows of a user equal",
            )
        shared = uids.get(row.uid)
        if row.uid and shared and shared.user != row.user:
            yield _finding(
                path,
                row.line,
                "uid-twice",
                Severity.LOW,
                f"{row.user!r} has the uid of {shared.user!r}",
                "give every user a uid of their own",
            )
        tokens.setdefault(row.token, row)
        users.setdefault(row.user, row)
        uids.setdefault(row.uid, row)


def _finding(
    path: str, line: int, rule: str, severity: Severity, message: str, remedy: str
) -> Finding:
    place = f"{path}:{line}" if line else path
    return Finding(
        rule=rule, severity=severity, target=place, message=message, remedy=remedy, place=place
    )
