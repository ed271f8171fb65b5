"""`shipkeeper etcd ls|get|history|diff`: what a snapshot file holds, without a cluster.

What a command needs is imported by it: one object is to be shown in a fifth of a second.
"""

from typing import Annotated

import msgspec
from cyclopts import Parameter

from shipkeeper.cli.backup_flags import HERE, RepositoryFlags
from shipkeeper.cli.etcd_reading import PLAIN, ReadingFlags, SnapshotName, browsing
from shipkeeper.cli.output import show, write
from shipkeeper.cli.output_flags import Output
from shipkeeper.errors import EXIT_FINDINGS, ShipkeeperError, UsageError
from shipkeeper.etcd.browse import NotFoundError
from shipkeeper.model.words import counted

Namespace = Annotated[
    tuple[str, ...], Parameter(name=("--namespace", "-n"), help="Only these namespaces.")
]


class SnapshotsDifferError(ShipkeeperError):
    """Two snapshots do not hold the same objects."""

    exit_code = EXIT_FINDINGS


def ls(
    file: SnapshotName,
    resource: str = "",
    /,
    *,
    namespace: Namespace = (),
    output: Output = None,
    repository: RepositoryFlags = HERE,
) -> None:
    """List what a snapshot holds: how many objects of each resource, or the objects of one."""
    from shipkeeper.etcd.browse_report import counts_report, found_report

    with browsing(file, repository=repository) as browser:
        if resource:
            show(found_report(browser.find(resource, frozenset(namespace))), output)
        else:
            show(counts_report(browser.counts(frozenset(namespace))), output)


def get(
    file: SnapshotName,
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
    repository: RepositoryFlags = HERE,
) -> None:
    """Get one object out of a snapshot as the API server would show it.

    RESOURCE NAME or RESOURCE/NAME; `… | kubectl apply -f -` brings a deleted one back.
    """
    resource, name = _named(resource, name)
    with browsing(file, reading, repository) as browser:
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
    file: SnapshotName,
    resource: str,
    name: str = "",
    /,
    *,
    namespace: Annotated[
        str, Parameter(name=("--namespace", "-n"), help="The object's namespace.")
    ] = "",
    output: Output = None,
    reading: ReadingFlags = PLAIN,
    repository: RepositoryFlags = HERE,
) -> None:
    """Show every revision of an object that a snapshot still holds.

    The API server compacts every five minutes: what was before that is gone.
    """
    from shipkeeper.etcd.browse_report import history_report

    resource, name = _named(resource, name)
    with browsing(file, reading, repository) as browser:
        moments = browser.history(browser.key_of(resource, namespace, name))
    show(history_report(resource, name, moments), output)


def diff(
    old: SnapshotName,
    new: SnapshotName,
    resource: str = "",
    /,
    *,
    namespace: Namespace = (),
    output: Output = None,
    repository: RepositoryFlags = HERE,
) -> None:
    """Compare two snapshots; exit code 4 if an object came, went, or was changed."""
    from shipkeeper.etcd.browse_report import changes_report
    from shipkeeper.etcd.comparing import compare

    with (
        browsing(old, repository=repository) as before,
        browsing(new, repository=repository) as after,
    ):
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
