"""What one stage of a rotation foretells, and what it was asked for. Pure."""

from collections.abc import Mapping
from typing import Final

import msgspec

from shipkeeper.access.certs.renew.leaves import API_SERVER, Authority
from shipkeeper.access.certs.renew.plan import Seen
from shipkeeper.access.certs.renew.site import Site
from shipkeeper.access.certs.rotate.standing import Kept, Stage
from shipkeeper.engine.plan import Plan

CLUSTER: Final = "cluster"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A host of the cluster: its Node's name, what was seen of it, and what it keeps."""

    node: str
    seen: Seen
    kept: Kept

    @property
    def is_control_plane(self) -> bool:
        """Whether an API server, or etcd, runs on it."""
        return self.seen.look.flags(API_SERVER) is not None


class RotationOutlook(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One stage: the hosts in their order, the run's folder on each, and the rotation's.

    `maker` is the host that makes the new authority, and signs what has no key of it; `server` the
    URL at which the cluster was found.
    """

    authority: Authority
    stage: Stage
    sites: tuple[Site, ...]
    nodes: dict[str, str]
    folder: str
    keep: str
    maker: str
    name: str
    old: str
    new: str = ""
    server: str = ""
    point_of_no_return: str = ""


class Request(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was asked for. timeout: how many seconds each wait may take."""

    authority: Authority
    stage: Stage
    hosts: tuple[str, ...]
    timeout: float = 180.0
    accept_old_pods: bool = False


def outlook_of(plan: Plan) -> RotationOutlook:
    """What a plan of this procedure foretells."""
    return msgspec.convert(plan.outlook, RotationOutlook)


def request_of(plan: Plan) -> Request:
    """What a plan of this procedure was asked for."""
    return msgspec.convert(plan.request, Request)


def hosts_of(outlook: RotationOutlook) -> Mapping[str, Site]:
    """The sites by their hosts, in their order."""
    return {each.host: each for each in outlook.sites}
