"""The plan of a restore: what becomes of each object, why, and in which order. Pure."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import msgspec

from shipkeeper.backup.order import RANKS, phases
from shipkeeper.backup.restore_options import Existing, RestoreOptions
from shipkeeper.backup.volumes.destination import Doing, VolumeStep
from shipkeeper.engine.plan import Item, Plan, Step
from shipkeeper.engine.verdict import Effect, Verdict
from shipkeeper.model.words import counted

PROCEDURE = "restore"
QUIET = "quiet"
WAKE = "wake"
FILL = "fill"
PROVIDE = "provide"
VOLUME = "volume"
"""What the keys of volumes begin with, before a slash and the volume's id."""
PRUNE = "prune"
SPARED = "Spared"
"""Why an extra stays."""


class Action(StrEnum):
    """What a restore does with one object."""

    CREATE = "Create"
    UPDATE = "Update"
    RECREATE = "Recreate"
    DELETE = "Delete"
    SKIP = "Skip"
    REFUSE = "Refuse"


_LEFT_OVER = "LeftQuiet"
_CLAIMS = RANKS.index("claims")
_WORKLOADS = RANKS.index("replica sets")
WRITES = frozenset({Action.CREATE, Action.UPDATE, Action.RECREATE, Action.DELETE})


class Live(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is there already under an object's name; `obstacle` is why it cannot be updated."""

    uid: str
    is_equal: bool = False
    is_terminating: bool = False
    obstacle: str = ""


class Candidate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An object of the backup and what was decided on it.

    `key` is `configmaps/namespace/name` as the backup has it, `content` finds its bytes there,
    `owners` are the keys of its owners as far as they are in the backup.
    """

    key: str
    content: str
    rank: int
    action: Action
    owners: tuple[str, ...] = ()
    verdict: Verdict | None = None


class Extra(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An object of the target that the backup does not have, and a prune deletes.

    One that is spared stays: the operator that prunes lives by it.
    """

    key: str
    uid: str
    rank: int
    is_spared: bool = False


class Muted(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook configuration that would refuse everything, as nobody answers for it."""

    resource: str
    name: str
    webhooks: tuple[str, ...]
    message: str
    is_left_over: bool = False
    """Whether a restore that was interrupted quieted it, and nobody put it back."""

    @property
    def target(self) -> str:
        """`validatingwebhookconfiguration/name`."""
        return f"{self.resource.removesuffix('s')}/{self.name}"


# Deleting one of these deletes what hangs on it: a namespace's objects, a definition's, data.
_NEVER_RECREATED = frozenset(
    {
        "namespaces",
        "customresourcedefinitions.apiextensions.k8s.io",
        "persistentvolumes",
        "persistentvolumeclaims",
    }
)


def decide(
    target: str, kind_name: str, live: Live | None, existing: Existing
) -> tuple[Action, Verdict | None]:
    """What becomes of an object that can be restored, and the verdict that says why not as asked.

    `target` is what verdicts name it by.
    """
    if live is None:
        return Action.CREATE, None
    if live.is_terminating:
        return Action.REFUSE, refused(
            target,
            "Terminating",
            "an object of that name is being deleted",
            "restore again when it is gone; see what its finalizers wait for",
        )
    if live.is_equal:
        return Action.SKIP, skipped(target, "Unchanged", "is already as the backup has it")
    if existing is Existing.SKIP:
        return Action.SKIP, skipped(
            target,
            "Exists",
            "is there already",
            "have it made like the backup's with --existing update",
        )
    if not live.obstacle:
        return Action.UPDATE, None
    if existing is Existing.RECREATE and kind_name not in _NEVER_RECREATED:
        return Action.RECREATE, Verdict(
            target=target,
            effect=Effect.WARN,
            reason="Immutable",
            message=f"is deleted and made again, as it cannot be updated: {live.obstacle}",
        )
    remedy = (
        "delete it yourself if all that hangs on it may go"
        if kind_name in _NEVER_RECREATED
        else "have it deleted and made again with --existing recreate"
    )
    return Action.REFUSE, refused(
        target, "Immutable", f"cannot be updated: {live.obstacle}", remedy
    )


def skipped(target: str, reason: str, message: str, remedy: str = "") -> Verdict:
    """The verdict on an object that is left as it is."""
    return Verdict(target=target, effect=Effect.SKIP, reason=reason, message=message, remedy=remedy)


def refused(target: str, reason: str, message: str, remedy: str = "") -> Verdict:
    """The verdict on an object that should come back and cannot."""
    return Verdict(
        target=target, effect=Effect.BLOCK, reason=reason, message=message, remedy=remedy
    )


def request_of(repository: str, backup: str, options: RestoreOptions) -> dict[str, Any]:
    """What was asked for, as the journal keeps it."""
    return {
        "repository": repository,
        "backup": backup,
        "options": msgspec.to_builtins(options),
    }


def plan_restore(
    request: dict[str, Any],
    candidates: Sequence[Candidate],
    extras: Sequence[Extra] = (),
    muted: Sequence[Muted] = (),
    volumes: Sequence[VolumeStep] = (),
) -> Plan:
    """Order everything into steps; each waits for the one before to end, be it well or not.

    A step that fails does not keep the next from being tried: what hangs on a missing object fails
    by itself, and says so. Snapshots are there before the claims that are made from them, and files
    before the workloads that read them, where their place is known by then.
    """
    steps: list[Step] = []
    if muted:
        steps.append(_quiet(muted))
    snapshots = [each for each in volumes if each.is_claim]
    early = [each for each in volumes if each.early and not each.is_claim]
    late = [each for each in volumes if not each.early]
    for number, (rank, items) in enumerate(_phases(candidates)):
        if snapshots and rank >= _CLAIMS:
            steps.append(_volumes(PROVIDE, "snapshots", snapshots, steps))
            snapshots = []
        if early and rank >= _WORKLOADS:
            steps.append(_volumes(FILL, "files", early, steps))
            early = []
        steps.append(_phase(number, RANKS[rank], items, steps))
    if snapshots:
        steps.append(_volumes(PROVIDE, "snapshots", snapshots, steps))
    if early:
        steps.append(_volumes(FILL, "files", early, steps))
    if late:
        steps.append(_volumes(FILL, "files of mounted volumes", late, steps))
    if extras:
        steps.append(_prune(extras, steps))
    if muted:
        steps.append(_wake(muted, steps))
    decided = (*candidates, *volumes)
    verdicts = tuple(each.verdict for each in decided if each.verdict is not None)
    blocking = tuple(each for each in verdicts if each.blocks)
    return Plan(procedure=PROCEDURE, request=request, steps=tuple(steps), verdicts=blocking)


def _phases(candidates: Sequence[Candidate]) -> list[tuple[int, list[Candidate]]]:
    by_key = {each.key: each for each in candidates}
    ranks = {each.key: each.rank for each in candidates}
    owners: Mapping[str, tuple[str, ...]] = {each.key: each.owners for each in candidates}
    return [
        (rank, [by_key[key] for key in keys]) for rank, keys in phases(tuple(by_key), ranks, owners)
    ]


def _after(steps: Sequence[Step]) -> tuple[str, ...]:
    return (steps[-1].id,) if steps else ()


def _phase(number: int, name: str, found: Sequence[Candidate], before: Sequence[Step]) -> Step:
    writes = [each for each in found if each.action in WRITES]
    return Step(
        id=f"{number}-{name.replace(' ', '-')}",
        action=PROCEDURE,
        target=name,
        effect=f"{counted(len(writes), 'object')} as in the backup: {name}"
        if writes
        else f"{name}: nothing to do",
        after=_after(before),
        always=True,
        items=tuple(
            Item(
                key=each.key,
                uid=each.content,
                action=each.action,
                verdicts=(each.verdict,) if each.verdict else (),
            )
            for each in found
        ),
    )


def _volumes(action: str, name: str, volumes: Sequence[VolumeStep], before: Sequence[Step]) -> Step:
    writes = [each for each in volumes if each.doing is not Doing.REFUSE]
    where = "; ".join(f"{each.volume}: {each.effect}" for each in writes)
    return Step(
        id=f"{action}-{name.replace(' ', '-')}",
        action=action,
        target=name,
        effect=where or f"{name}: nothing to do",
        after=_after(before),
        always=True,
        items=tuple(
            Item(
                key=f"{VOLUME}/{each.volume}",
                uid=each.place,
                action=each.doing,
                verdicts=(each.verdict or _told(each),),
            )
            for each in volumes
        ),
    )


def _told(volume: VolumeStep) -> Verdict:
    """The plan says where each volume goes."""
    return Verdict(target=volume.volume, effect=Effect.WARN, reason="Place", message=volume.effect)


def _prune(extras: Sequence[Extra], before: Sequence[Step]) -> Step:
    last_made_first = sorted(extras, key=lambda each: (-each.rank, each.key))
    spared = sum(each.is_spared for each in extras)
    effect = f"{counted(len(extras) - spared, 'object')} deleted that the backup does not have"
    return Step(
        id=PRUNE,
        action=PRUNE,
        target="extras",
        effect=f"{effect}; {spared} spared" if spared else effect,
        after=_after(before),
        always=True,
        items=tuple(_extra(each) for each in last_made_first),
    )


def _extra(each: Extra) -> Item:
    if not each.is_spared:
        return Item(key=each.key, uid=each.uid, action=Action.DELETE)
    verdict = skipped(each.key, SPARED, "is not in the backup, and the operator lives by it")
    return Item(key=each.key, uid=each.uid, action=Action.SKIP, verdicts=(verdict,))


def _quiet(muted: Sequence[Muted]) -> Step:
    return Step(
        id=QUIET,
        action=QUIET,
        target="webhooks",
        effect=f"{counted(len(muted), 'webhook configuration')} let everything pass for a while",
        undo="each as it was",
        items=tuple(_muted_item(each) for each in muted),
    )


def _muted_item(each: Muted) -> Item:
    verdict = Verdict(
        target=each.target,
        effect=Effect.WARN,
        reason=_LEFT_OVER if each.is_left_over else "WebhookDown",
        message=f"{', '.join(each.webhooks)}: {each.message}",
    )
    return Item(key=f"{each.resource}/{each.name}", uid="", action=QUIET, verdicts=(verdict,))


def _wake(muted: Sequence[Muted], before: Sequence[Step]) -> Step:
    return Step(
        id=WAKE,
        action=WAKE,
        target="webhooks",
        effect=f"{counted(len(muted), 'webhook configuration')} as before",
        after=_after(before),
        always=True,
        items=tuple(
            Item(key=f"{each.resource}/{each.name}", uid="", action=WAKE) for each in muted
        ),
    )


def has_work(plan: Plan) -> bool:
    """Whether a plan changes anything, or has something to put back."""
    items = [item for step in plan.steps for item in step.items]
    return any(
        item.action in WRITES or any(each.reason == _LEFT_OVER for each in item.verdicts)
        for item in items
    )
