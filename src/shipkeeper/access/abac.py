"""The ABAC authorizer: a policy file of one JSON object a line. Pure.

As k8s.io/kubernetes pkg/auth/authorizer/abac and pkg/apis/abac read and match it: a line without
`apiVersion` and `kind` is of the old form, in which nothing said means everything.
"""

from collections.abc import Iterable
from typing import Any, cast

import msgspec

from shipkeeper.access.attributes import AUTHENTICATED, Attributes, User
from shipkeeper.access.decision import Decision, Opinion
from shipkeeper.errors import UsageError
from shipkeeper.model.documents import document

ANY = "*"
READS = frozenset({"get", "list", "watch"})
_NEWER = "abac.authorization.kubernetes.io/v1beta1"
_OLDER = ("", "abac.authorization.kubernetes.io/v0")
_KIND = "Policy"
# What the server's line scanner takes at most.
_LONGEST = 64 * 1024

_NONE = Opinion(Decision.NO_OPINION, "No policy matched.")


class AbacLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What one line of a policy file allows, in the meaning of the newer form."""

    number: int = 0
    user: str = ""
    group: str = ""
    readonly: bool = False
    namespace: str = ""
    resource: str = ""
    api_group: str = ""
    non_resource_path: str = ""

    def is_for(self, user: User) -> bool:
        """Whether it means somebody: the user and the group, as far as each is set."""
        if not self.user and not self.group:
            return False
        if self.user and self.user != user.name:
            return False
        return not self.group or self.group in user.groups

    def allows(self, asked: Attributes) -> bool:
        """Whether it allows what is asked; subresources and names do not matter."""
        if not self.is_for(asked.user) or (self.readonly and asked.verb not in READS):
            return False
        if not asked.resource_request:
            return self._has_path(asked.path)
        return (
            self.namespace in (ANY, asked.namespace)
            and self.resource in (ANY, asked.resource)
            and self.api_group in (ANY, asked.group)
        )

    def _has_path(self, path: str) -> bool:
        pattern = self.non_resource_path
        if pattern in (ANY, path):
            return True
        return pattern.endswith(ANY) and path.startswith(pattern.rstrip(ANY))


class BadAbacLineError(UsageError):
    """A policy file has a line with which an API server does not start."""


class Abac:
    """A policy file; the first line that matches allows."""

    def __init__(self, lines: Iterable[AbacLine]) -> None:
        self.lines = tuple(lines)
        self._by_user: dict[str, list[AbacLine]] = {}
        self._by_group: dict[str, list[AbacLine]] = {}
        for line in self.lines:
            # Who is named by user and group must be both: the user leads to the line.
            index, name = (self._by_user, line.user) if line.user else (self._by_group, line.group)
            index.setdefault(name, []).append(line)

    def authorize(self, asked: Attributes) -> Opinion:
        """Allow if a line does, else no opinion."""
        for line in self._lines_for(asked.user):
            if line.allows(asked):
                return Opinion(Decision.ALLOW, "", "", f"line {line.number}")
        return _NONE

    def _lines_for(self, user: User) -> Iterable[AbacLine]:
        yield from self._by_user.get(user.name, ()) if user.name else ()
        for group in user.groups:
            yield from self._by_group.get(group, ())


def parse_abac(text: str, path: str = "the policy file") -> Abac:
    """Read a policy file; BadAbacLineError where an API server would refuse to start."""
    lines: list[AbacLine] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line.encode()) > _LONGEST:
            raise _bad(path, number, "it is longer than 64 KiB")
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            lines.append(_parse_line(stripped, path, number))
    return Abac(lines)


class _Spec(msgspec.Struct, rename="camel"):
    user: str | None = None
    group: str | None = None
    readonly: bool | None = None
    namespace: str | None = None
    resource: str | None = None
    api_group: str | None = None
    non_resource_path: str | None = None


class _Head(msgspec.Struct, rename="camel"):
    api_version: str | None = None
    kind: str | None = None


class _Current(msgspec.Struct):
    spec: _Spec | None = None


def _parse_line(line: str, path: str, number: int) -> AbacLine:
    try:
        value = _decode(line)
        head = msgspec.convert(value, type=_Head)
        version, kind = head.api_version or "", head.kind or ""
        if version == _NEWER and kind == _KIND:
            return _newer(msgspec.convert(value, type=_Current).spec or _Spec(), number)
        if version in _OLDER and kind in ("", _KIND):
            return _older(msgspec.convert(value, type=_Spec), number)
        raise ValueError(f"there is no kind {kind or _KIND!r} in version {version!r}")
    except ValueError as error:
        raise _bad(path, number, str(error)) from error


def _decode(line: str) -> dict[str, Any]:
    """Read what begins as JSON does as JSON, and all else as YAML: so does the server."""
    if line.startswith("{"):
        try:
            return msgspec.json.decode(line, type=dict[str, Any])
        except RecursionError as error:
            raise ValueError("it is nested too deep") from error
    try:
        value = document(line)
    except ValueError as error:
        raise ValueError("it is neither JSON nor YAML") from error
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    return cast("dict[str, Any]", value)


def _newer(spec: _Spec, number: int) -> AbacLine:
    everybody = ANY in (spec.user, spec.group)
    return AbacLine(
        number=number,
        user="" if everybody else spec.user or "",
        group=AUTHENTICATED if everybody else spec.group or "",
        readonly=spec.readonly or False,
        namespace=spec.namespace or "",
        resource=spec.resource or "",
        api_group=spec.api_group or "",
        non_resource_path=spec.non_resource_path or "",
    )


def _older(spec: _Spec, number: int) -> AbacLine:
    everybody = ANY in (spec.user, spec.group) or not (spec.user or spec.group)
    return AbacLine(
        number=number,
        user="" if everybody else spec.user or "",
        group=AUTHENTICATED if everybody else spec.group or "",
        readonly=spec.readonly or False,
        namespace=spec.namespace or ANY,
        resource=spec.resource or ANY,
        api_group=ANY,
        non_resource_path="" if spec.namespace or spec.resource else ANY,
    )


def _bad(path: str, number: int, why: str) -> BadAbacLineError:
    return BadAbacLineError(
        f"line {number} of {path} is no ABAC policy: {why}",
        reason="BadPolicyLine",
        hint="an API server does not start with it; mend or remove the line",
    )
