"""Whether what an upgrade starts will start, by its flags and feature gates; pure.

kubeadm writes static pods and settings anew from its ConfigMaps: what these say is what the new
ones get, whatever the pods of today are started with.
"""

from collections.abc import Iterator

from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.upgrade.catalog import Catalog
from shipkeeper.upgrade.check.programs import Given
from shipkeeper.upgrade.check.settings import judge_programs
from shipkeeper.upgrade.draft import CLUSTER


def refused_settings(given: Given, target: int, catalog: Catalog) -> Iterator[Verdict]:
    """What forbids an upgrade: each setting with which a component of the target cannot start.

    A ConfigMap that cannot be read is warned of.
    """
    for finding in judge_programs(given.programs, target, catalog):
        yield Verdict(
            target=finding.target,
            effect=Effect.BLOCK,
            reason=finding.rule,
            message=finding.message,
            remedy=finding.remedy,
        )
    for each in given.unread:
        yield not_checked(f"{each} is no YAML mapping", "mend it: kubeadm reads it, too")


def not_checked(why: str, remedy: str) -> Verdict:
    """What is said where settings could not be looked at."""
    return Verdict(
        target=CLUSTER,
        effect=Effect.WARN,
        reason="SettingsNotChecked",
        message=f"whether what is upgraded starts with its flags and gates is not known: {why}",
        remedy=remedy,
    )
