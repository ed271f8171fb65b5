"""How the versions of a cluster look."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import Any

from shipkeeper.engine.report import Column, Report, Table
from shipkeeper.model.words import counted
from shipkeeper.upgrade.catalog import Catalog
from shipkeeper.upgrade.component import OF_THEIR_OWN, Component, Name
from shipkeeper.upgrade.versions import ClusterVersions, Violation

_COLUMNS = (
    Column("COMPONENT"),
    Column("VERSION"),
    Column("COUNT"),
    Column("SUPPORT"),
    Column("NODES", wide=True),
)
_NAMED = 5


def versions_report(
    versions: ClusterVersions, broken: Sequence[Violation], catalog: Catalog, today: date
) -> Report:
    """Components by version, until when each is supported, and every rule that is broken."""
    grouped: defaultdict[tuple[Name, str], list[Component]] = defaultdict(list)
    for each in versions.components:
        grouped[each.name, each.text].append(each)
    ordered = sorted(grouped, key=lambda each: (list(Name).index(each[0]), each[1]))
    rows = tuple(
        (
            name,
            text,
            str(len(grouped[name, text])),
            support(grouped[name, text][0], catalog, today),
            _nodes(grouped[name, text]),
        )
        for name, text in ordered
    )
    lines = [f"{each.rule}: {each.message} ({_where(each)})" for each in broken]
    return Report(
        value=_value(versions, broken, catalog),
        body=(
            Table(_COLUMNS, rows),
            "\n".join(lines),
            "\n".join(f"not seen: {each}" for each in versions.not_seen),
        ),
        names=tuple(f"{name}/{text}" for name, text in ordered),
    )


def support(component: Component, catalog: Catalog, today: date) -> str:
    """Until when a component gets patches; `-` if that is not Kubernetes' to say."""
    version = component.version
    if component.name in OF_THEIR_OWN or version is None:
        return "-"
    ends = catalog.end_of_life(version.minor)
    if ends is None:
        return "unknown"
    latest = catalog.latest(version.minor)
    behind = f", {latest} is out" if latest is not None and version < latest else ""
    return f"{'ended' if ends < today else 'until'} {ends}{behind}"


def _value(
    versions: ClusterVersions, broken: Sequence[Violation], catalog: Catalog
) -> dict[str, Any]:
    ends = catalog.end_of_life(versions.server_version.minor)
    return {
        "server": versions.server,
        "vendor": versions.server_version.vendor,
        "endOfLife": str(ends) if ends else None,
        "managed": versions.is_managed,
        "components": versions.components,
        "violations": list(broken),
        "notSeen": versions.not_seen,
    }


def _nodes(components: Sequence[Component]) -> str:
    names = sorted({each.node for each in components if each.node})
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return " ".join(names[:_NAMED]) + more if names else "-"


def _where(broken: Violation) -> str:
    if len(broken.where) > _NAMED:
        return f"on {counted(len(broken.where), 'node')}"
    return ", ".join(broken.where)
