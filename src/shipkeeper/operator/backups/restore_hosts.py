"""The way to the nodes on which a Restore brings volumes back: through privileged pods."""

from functools import partial

import msgspec

from shipkeeper.backup.volumes.saving import OpenHosts
from shipkeeper.model.duration import parse_duration
from shipkeeper.nodes.hosts import open_hosts
from shipkeeper.nodes.options import PodAccess
from shipkeeper.operator.api.contents import JobLimits
from shipkeeper.operator.api.restores import RestoreSpec


def way_to_hosts(spec: RestoreSpec) -> OpenHosts:
    """Opens the way that a spec names.

    A Job that is killed removes no pod of its own: none outlasts the time that a Job may take.
    """
    limits = spec.job or JobLimits()
    access = PodAccess(lifetime=parse_duration(limits.time_limit).total_seconds())
    if spec.volumes is not None:
        access = msgspec.structs.replace(
            access, image=spec.volumes.image, namespace=spec.volumes.namespace
        )
    return partial(open_hosts, access=access)
