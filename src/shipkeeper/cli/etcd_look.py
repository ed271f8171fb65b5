"""`shipkeeper etcd ls|get|history|diff`: what a snapshot file holds, without a cluster."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from shipkeeper.cli.output import show, write
from shipkeeper.cli.output_flags import Output
from shipkeeper.errors import EXIT_FINDINGS, ShipkeeperError, UsageError
from shipkeeper.etcd.browse import Browser, NotFoundError
from shipkeeper.etcd.browse_report import (
    changes_report,
    counts_report,
    found_report,
    history_report,
)
from shipkeeper.etcd.comparing import compare
from shipkeeper.etcd.encrypted import Keys
from shipkeeper.etcd.snapshot import open_snapshot
from shipkeeper.model.words import counted

Namespace = Annotated[
    tuple[str, ...], Parameter(name=("--namespace", "-n"), help="Only these namespaces.")
]


class SnapshotsDifferError(ShipkeeperError):
    """Two snapshots do not hold the same objects."""

    exit_code = EXIT_FINDINGS


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ReadingFlags:
    """What is needed to read stored objects."""

    encryption_provider_config: Annotated[
        str, Parameter(help="The API server's EncryptionConfiguration, to open encrypted values.")
    ] = ""
    kubernetes_version: Annotated[
        str, Parameter(help="Of the snapshot's cluster (1.30); by default told by its nodes.")
    ] = ""

    def keys(self) -> Keys:
        """The keys of the configuration; none if none is named."""
        if not self.encryption_provider_config:
            return Keys()
        from shipkeeper.etcd.encryption import decode_keys

        path = Path(self.encryption_provider_config)
        try:
            return decode_keys(path.read_text())
        except OSError as error:
            raise UsageError(
                f"cannot read {path}: {error.strerror}",
                reason="ConfigurationUnreadable",
                hint="name the file that kube-apiserver's --encryption-provider-config names",
            ) from error

    def minor(self) -> int | None:
        """The minor version, if one is given; UsageError if it is none."""
        if not self.kubernetes_version:
            return None
        parts = self.kubernetes_version.removeprefix("v").split(".")
        if len(parts) < 2 or not parts[1].isdigit():
            raise UsageError(
                f"{self.kubernetes_version!r} is no version",
                reason="InvalidVersion",
                hint="a version looks like 1.30",
            )
        return int(parts[1])


PLAIN = ReadingFlags()


@contextmanager
def _browsing(file: Path, reading: ReadingFlags = PLAIN) -> Generator[Browser]:
    with open_snapshot(file) as snapshot:
        yield Browser(snapshot, reading.keys(), reading.minor())


def ls(
    file: Path,
    resource: str = "",
    /,
    *,
    namespace: Namespace = (),
    output: Output = None,
) -> None:
    """List what a snapshot holds: how many objects of each resource, or the objects of one."""
    with _browsing(file) as browser:
        if resource:
            show(found_report(browser.find(resource, frozenset(namespace))), output)
        else:
            show(counts_report(browser.counts(frozenset(namespace))), output)


def get(
    file: Path,
    resource: str,
    name: str = "",
    /,
    *,
    namespace: Annotated[
        str, Parameter(name=("--namespace", "-n"), help="The object's namespace.")
    ] = "",
    revision: Annotated[int, Parameter(help="As it was at this revision, not at the end.")] = 0,
    output: Output = None,
    reading: ReadingFlags = PLAIN,
) -> None:
    """Get one object out of a snapshot as the API server would show it.

    RESOURCE NAME or RESOURCE/NAME; `… | kubectl apply -f -` brings a deleted one back.
    """
    resource, name = _named(resource, name)
    with _browsing(file, reading) as browser:
        key = browser.key_of(resource, namespace, name)
        if revision:
            rows = [row for row in browser.index.history(key) if row.main <= revision]
            if not rows or rows[-1].is_gone:
                raise NotFoundError(
                    f"there was no {resource} {name!r} at revision {revision}",
                    reason="NotFound",
                    hint="see its revisions with: shipkeeper etcd history",
                )
            manifest = browser.manifest(rows[-1])
        else:
            manifest = browser.get(key)
    if output == "name":
        write(f"{resource}/{name}\n")
    elif output == "json":
        write(msgspec.json.format(msgspec.json.encode(manifest), indent=4).decode() + "\n")
    else:
        write(msgspec.yaml.encode(manifest, order="sorted").decode())


def history(
    file: Path,
    resource: str,
    name: str = "",
    /,
    *,
    namespace: Annotated[
        str, Parameter(name=("--namespace", "-n"), help="The object's namespace.")
    ] = "",
    output: Output = None,
    reading: ReadingFlags = PLAIN,
) -> None:
    """Show every revision of an object that a snapshot still holds.

    The API server compacts every five minutes: what was before that is gone.
    """
    resource, name = _named(resource, name)
    with _browsing(file, reading) as browser:
        moments = browser.history(browser.key_of(resource, namespace, name))
    show(history_report(resource, name, moments), output)


def diff(
    old: Path,
    new: Path,
    resource: str = "",
    /,
    *,
    namespace: Namespace = (),
    output: Output = None,
) -> None:
    """Compare two snapshots; exit code 4 if an object came, went, or was changed."""
    with _browsing(old) as before, _browsing(new) as after:
        changes = list(compare(before, after, resource, frozenset(namespace)))
    show(changes_report(changes), output)
    if changes:
        raise SnapshotsDifferError(
            f"{counted(len(changes), 'difference')} from {old} to {new}", reason="Differences"
        )


def _named(resource: str, name: str) -> tuple[str, str]:
    if not name:
        resource, _, name = resource.partition("/")
    if not name:
        raise UsageError(
            f"no {resource} is named",
            reason="NoName",
            hint="say RESOURCE NAME, such as: deployment web -n shop",
        )
    return resource, name
