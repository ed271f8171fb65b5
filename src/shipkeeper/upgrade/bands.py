"""The skew policy as a picture: which minors each component may have beside the others. Pure."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date

import msgspec

from shipkeeper.upgrade.catalog import Catalog
from shipkeeper.upgrade.component import CONTROLLERS, OF_THEIR_OWN, Component, Name
from shipkeeper.upgrade.policy import (
    Rule,
    judge_api_servers,
    judge_controller,
    judge_kubectl,
    judge_kubelet,
    judge_proxy,
)
from shipkeeper.upgrade.versions import ClusterVersions, api_server_range
from shipkeeper.upgrade.versions_report import support

_OLDER, _NEWER = 4, 2  # minors that are shown on either side of the API servers


class Place(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One version of a component: on how many nodes, and until when it is supported."""

    text: str
    minor: int | None
    count: int
    nodes: tuple[str, ...]
    support: str


class Band(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A component: what it is at, and by the minors of the picture the rule that each breaks."""

    name: Name
    places: tuple[Place, ...]
    breaks: dict[int, str]


class Picture(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Minors from left to right, a band for each component; `others` have versions of their own."""

    minors: tuple[int, ...]
    bands: tuple[Band, ...]
    others: tuple[Band, ...]


def picture(versions: ClusterVersions, catalog: Catalog, today: date) -> Picture:
    """What runs, drawn against what may run."""
    oldest, newest = api_server_range(versions)
    grouped: defaultdict[Name, defaultdict[str, list[Component]]]
    grouped = defaultdict(lambda: defaultdict(list))
    for each in versions.components:
        grouped[each.name][each.text].append(each)
    places = {
        name: tuple(_place(found, catalog, today) for _, found in sorted(texts.items()))
        for name, texts in grouped.items()
    }
    known = {each.minor for found in places.values() for each in found if each.minor is not None}
    low = min({oldest - _OLDER, *(minor for minor in known if minor > oldest - 12)})
    high = max({newest + _NEWER, *(minor for minor in known if minor < newest + 12)})
    minors = tuple(range(max(low, 0), high + 1))
    ordered = [name for name in Name if name in places]
    return Picture(
        minors=minors,
        bands=tuple(
            Band(
                name=name,
                places=places[name],
                breaks=dict(_broken(name, minors, oldest, newest)),
            )
            for name in ordered
            if name not in OF_THEIR_OWN
        ),
        others=tuple(
            Band(name=name, places=places[name], breaks={})
            for name in ordered
            if name in OF_THEIR_OWN
        ),
    )


def _place(found: list[Component], catalog: Catalog, today: date) -> Place:
    first = found[0]
    version = None if first.name in OF_THEIR_OWN else first.version
    return Place(
        text=first.text,
        minor=version.minor if version else None,
        count=len(found),
        nodes=tuple(sorted({each.node for each in found if each.node})),
        support=support(first, catalog, today),
    )


def _broken(
    name: Name, minors: tuple[int, ...], oldest: int, newest: int
) -> Iterator[tuple[int, str]]:
    for minor in minors:
        rule = _rule(name, minor, oldest, newest)
        if rule is not None:
            yield minor, rule.says


def _rule(name: Name, minor: int, oldest: int, newest: int) -> Rule | None:
    if name is Name.API_SERVER:
        return judge_api_servers(min(minor, oldest), max(minor, newest))
    if name is Name.KUBELET:
        return judge_kubelet(minor, oldest, newest)
    if name is Name.PROXY:
        return judge_proxy(minor, None, oldest, newest)
    if name is Name.KUBECTL:
        return judge_kubectl(minor, oldest, newest)
    return judge_controller(minor, oldest, newest) if name in CONTROLLERS else None
