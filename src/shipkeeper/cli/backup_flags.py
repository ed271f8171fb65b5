"""Flags of the backup commands: which repository, and which objects."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

from shipkeeper.errors import UsageError
from shipkeeper.paths import state_dir

if TYPE_CHECKING:
    from shipkeeper.backup.opening import Place
    from shipkeeper.backup.selection import Selection

_REPOSITORY = Group("Repository", sort_key=1)
_OBJECTS = Group("Which objects", sort_key=0)


@Parameter(name="*", group=_REPOSITORY)
@dataclass(frozen=True, kw_only=True)
class RepositoryFlags:
    """Where backups are kept, and the keys to it."""

    repo: Annotated[
        str,
        Parameter(
            env_var="SHIPKEEPER_REPO",
            help="A folder, s3://bucket/prefix, gs://… or az://… ($SHIPKEEPER_REPO).",
        ),
    ] = ""
    endpoint: Annotated[str, Parameter(help="The object store's URL, if not the vendor's.")] = ""
    key: Annotated[
        str,
        Parameter(
            env_var="SHIPKEEPER_KEY", help="The key file to add backups with ($SHIPKEEPER_KEY)."
        ),
    ] = ""
    identity: Annotated[
        str,
        Parameter(
            env_var="SHIPKEEPER_IDENTITY",
            help="The age identity file to read backups with ($SHIPKEEPER_IDENTITY).",
        ),
    ] = ""

    def place(self) -> "Place":
        """The repository, with the default key files where none are named and they are there."""
        # Here and not above: all stores come with it, and not every command opens one.
        from shipkeeper.backup.opening import Place

        if not self.repo:
            raise UsageError(
                "no repository is named",
                reason="NoRepository",
                hint="name one with --repo or $SHIPKEEPER_REPO; "
                "make one with: shipkeeper backup init --repo FOLDER",
            )
        return Place(
            url=self.repo,
            endpoint=self.endpoint,
            key=self.key or _if_there(default_key()),
            identity=self.identity or _if_there(default_identity()),
            passphrase=os.environ.get("SHIPKEEPER_PASSPHRASE", ""),
        )


HERE = RepositoryFlags()


def default_key() -> Path:
    """Where the writer's key is if no other file is named."""
    return state_dir() / "backup" / "writer.key"


def default_identity() -> Path:
    """Where the reader's identity is if no other file is named."""
    return state_dir() / "backup" / "reader.age"


def _if_there(path: Path) -> str:
    return str(path) if path.exists() else ""


@Parameter(name="*", group=_OBJECTS)
@dataclass(frozen=True, kw_only=True)
class SelectionFlags:
    """Which objects are meant; what is not given leaves nothing out."""

    namespace: Annotated[
        tuple[str, ...], Parameter(name=("--namespace", "-n"), help="Only these namespaces.")
    ] = ()
    exclude_namespace: Annotated[tuple[str, ...], Parameter(help="Not these namespaces.")] = ()
    kind: Annotated[tuple[str, ...], Parameter(help="Only these kinds (secrets, deploy).")] = ()
    exclude_kind: Annotated[tuple[str, ...], Parameter(help="Not these kinds.")] = ()
    selector: Annotated[
        str, Parameter(name=("--selector", "-l"), help="Only objects with these labels.")
    ] = ""
    name: Annotated[
        tuple[str, ...], Parameter(help="Only these: KIND/NAME or KIND/NAMESPACE/NAME.")
    ] = ()
    exclude_name: Annotated[tuple[str, ...], Parameter(help="Not these.")] = ()
    cluster_scoped: Annotated[
        Literal["auto", "yes", "no"],
        Parameter(help="Objects without a namespace; auto: unless namespaces are chosen."),
    ] = "auto"

    def selection(self) -> "Selection":
        """The same, for the procedures."""
        from shipkeeper.backup.selection import Selection

        return Selection(
            namespaces=self.namespace,
            not_namespaces=self.exclude_namespace,
            kinds=self.kind,
            not_kinds=self.exclude_kind,
            selector=self.selector,
            names=self.name,
            not_names=self.exclude_name,
            cluster_scoped={"auto": None, "yes": True, "no": False}[self.cluster_scoped],
        )


EVERYTHING = SelectionFlags()
