"""Where a sandbox keeps its files."""

import re
from pathlib import Path
from typing import Self

import msgspec

from shipkeeper.errors import UsageError
from shipkeeper.paths import state_dir

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def sandboxes_dir() -> Path:
    """The directory that holds every sandbox of this user."""
    return state_dir().absolute() / "sandboxes"


def sandbox_names() -> list[str]:
    """Every sandbox of this user, running or not."""
    return sorted(path.parent.name for path in sandboxes_dir().glob("[!.]*/sandbox.json"))


class Layout(msgspec.Struct, frozen=True):
    """The paths inside one sandbox's directory (mode 0700; whatever holds a key has 0600)."""

    directory: Path

    @classmethod
    def of(cls, name: str) -> Self:
        """The layout of a sandbox by name; UsageError unless the name is a DNS label."""
        if not _DNS_LABEL.fullmatch(name):
            raise UsageError(
                f"{name!r} cannot name a sandbox",
                reason="InvalidName",
                hint="use at most 63 lower-case letters, digits and inner dashes",
            )
        return cls(sandboxes_dir() / name)

    @property
    def name(self) -> str:
        """The sandbox's name."""
        return self.directory.name

    @property
    def unfinished(self) -> Path:
        """Where the directory is made before it appears, and taken apart after it is gone."""
        return self.directory.with_name(f".{self.name}")

    @property
    def lock(self) -> Path:
        """The file locked by whoever starts or stops the sandbox."""
        return self.directory.with_name(f".{self.name}.lock")

    @property
    def record(self) -> Path:
        """The sandbox's record (`record.py`)."""
        return self.directory / "sandbox.json"

    @property
    def scheduler_configuration(self) -> Path:
        """What the scheduler is told."""
        return self.directory / "scheduler.json"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, one JSON object a line for each request."""
        return self.directory / "audit.log"

    @property
    def audit_policy(self) -> Path:
        """What the audit log holds of each request."""
        return self.directory / "audit-policy.yaml"

    @property
    def etcd_data(self) -> Path:
        """Etcd's data directory."""
        return self.directory / "etcd"

    @property
    def hollow_socket(self) -> Path:
        """Where the agent of the hollow nodes is told what to do."""
        return self.directory / "hollow.sock"

    @property
    def issued(self) -> Path:
        """The directory of kubeconfigs made on request."""
        return self.directory / "issued"

    def log(self, component: str) -> Path:
        """What a component printed."""
        return self.directory / "logs" / f"{component}.log"

    def kubeconfig(self, owner: str) -> Path:
        """The kubeconfig of `admin`, `hollow-nodes` or a component."""
        return self.directory / f"{owner}.kubeconfig"

    def certificate(self, name: str) -> Path:
        """A PEM certificate, or the public half of `service-accounts`."""
        return self.directory / "pki" / f"{name}.crt"

    def key(self, name: str) -> Path:
        """The PEM private key that belongs to `certificate(name)`."""
        return self.directory / "pki" / f"{name}.key"
