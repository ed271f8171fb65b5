"""How what is in a snapshot looks. Pure."""

from collections.abc import Sequence

from shipkeeper.engine.report import Column, Report, Table, item_list
from shipkeeper.etcd.browse import Count, Found, Moment
from shipkeeper.etcd.comparing import Change

_COUNTS = (Column("RESOURCE"), Column("NAMESPACE"), Column("OBJECTS"))
_FOUND = (
    Column("NAMESPACE"),
    Column("NAME"),
    Column("REVISION"),
    Column("SIZE", wide=True),
    Column("RESOURCE", wide=True),
)
_HISTORY = (Column("REVISION"), Column("VERSION"), Column("SIZE"), Column("STATE"))
_CHANGES = (
    Column("CHANGE"),
    Column("RESOURCE"),
    Column("NAMESPACE"),
    Column("NAME"),
    Column("OLD-REVISION", wide=True),
    Column("NEW-REVISION", wide=True),
)


def counts_report(counts: Sequence[Count]) -> Report:
    """How many objects of what there are."""
    rows = tuple((each.resource, each.namespace or "-", str(each.objects)) for each in counts)
    names = dict.fromkeys(f"resource/{each.resource}" for each in counts)
    return Report(value=item_list(counts), body=(Table(_COUNTS, rows),), names=tuple(names))


def found_report(found: Sequence[Found]) -> Report:
    """The objects of a resource."""
    rows = tuple(
        (each.namespace or "-", each.name, str(each.revision), str(each.size), each.resource)
        for each in found
    )
    return Report(
        value=item_list(found),
        body=(Table(_FOUND, rows),),
        names=tuple(f"{each.resource}/{each.name}" for each in found),
    )


def history_report(resource: str, name: str, moments: Sequence[Moment]) -> Report:
    """The revisions of an object."""
    rows = tuple(
        (
            str(each.revision),
            str(each.version) if each.manifest is not None else "-",
            str(each.size),
            _state(each),
        )
        for each in moments
    )
    return Report(
        value=item_list(moments), body=(Table(_HISTORY, rows),), names=(f"{resource}/{name}",)
    )


def _state(moment: Moment) -> str:
    if moment.manifest is None:
        return "Deleted"
    return "Created" if moment.version == 1 else "Written"


def changes_report(changes: Sequence[Change]) -> Report:
    """What differs between two snapshots."""
    rows = tuple(
        (
            each.change,
            each.resource,
            each.namespace or "-",
            each.name,
            str(each.old_revision or "-"),
            str(each.new_revision or "-"),
        )
        for each in changes
    )
    return Report(
        value=item_list(changes),
        body=(Table(_CHANGES, rows),),
        names=tuple(f"{each.resource}/{each.name}" for each in changes),
    )
