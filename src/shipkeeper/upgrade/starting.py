"""Whether what an upgrade starts will start, by its flags and feature gates; pure.

kubeadm writes static pods and settings anew from its ConfigMaps: what these say is what the new
ones get, whatever the pods of today are started with.
"""

from collections.abc import Iterable, Iterator

from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.upgrade.catalog import Catalog
from shipkeeper.upgrade.check.evidence import ProgramArguments
from shipkeeper.upgrade.check.settings import judge_programs


def refused_settings(
    given: Iterable[ProgramArguments], target: int, catalog: Catalog
) -> Iterator[Verdict]:
    """What forbids an upgrade: each setting with which a component of the target cannot start."""
    for finding in judge_programs(given, target, catalog):
        yield Verdict(
            target=finding.target,
            effect=Effect.BLOCK,
            reason=finding.rule,
            message=finding.message,
            remedy=finding.remedy,
        )
