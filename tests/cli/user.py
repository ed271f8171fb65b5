"""A user of the command line with a kubeconfig and a journal of their own."""

import itertools
import subprocess
from datetime import datetime
from pathlib import Path

import msgspec

from shipkeeper.model.base import KubeStruct
from shipkeeper.sandbox.sandbox import Sandbox
from tests.cli.run import run_cli

ADMINISTRATORS = ("system:masters",)
_numbers = itertools.count(1)
_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
# A question in the form of an object; nothing is kept of it.
_QUESTIONS = frozenset({"selfsubjectaccessreviews"})


class _UserInfo(KubeStruct, frozen=True, kw_only=True):
    username: str = ""


class _Object(KubeStruct, frozen=True, kw_only=True):
    resource: str = ""


class _Line(KubeStruct, frozen=True, kw_only=True):
    verb: str
    request_uri: str = msgspec.field(name="requestURI")
    user: _UserInfo = _UserInfo()
    object_ref: _Object = _Object()


class User:
    """One user; the audit log tells what they asked for."""

    def __init__(
        self,
        sandbox: Sandbox,
        directory: Path,
        *,
        groups: tuple[str, ...] = ADMINISTRATORS,
        not_after: datetime | None = None,
    ) -> None:
        self.name = f"user-{next(_numbers)}"
        self.state = directory / self.name
        self._sandbox = sandbox
        self._since = sandbox.audit_log.stat().st_size
        self.kubeconfig = sandbox.issue_kubeconfig(self.name, groups, not_after=not_after)

    async def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run shipkeeper as this user."""
        environment = {"KUBECONFIG": str(self.kubeconfig), "XDG_STATE_HOME": str(self.state)}
        return await run_cli(self._sandbox, *arguments, environment=environment)

    def writes(self, *, dry: bool = False) -> list[str]:
        """`verb URI` of what this user wrote, or asked to be tried without being kept."""
        with self._sandbox.audit_log.open("rb") as log:
            log.seek(self._since)
            lines = [msgspec.json.decode(line, type=_Line) for line in log]
        return [
            f"{line.verb} {line.request_uri}"
            for line in lines
            if line.user.username == self.name
            and line.verb in _WRITES
            and line.object_ref.resource not in _QUESTIONS
            and ("dryRun=All" in line.request_uri) is dry
        ]
