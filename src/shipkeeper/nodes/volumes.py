"""Volumes that leave a node with their pods: which they are, and where they are attached; pure."""

from collections.abc import Collection, Iterable, Mapping

import msgspec

from shipkeeper.engine.journal import Entry
from shipkeeper.model.pod import Pod
from shipkeeper.model.storage import PersistentVolume, VolumeAttachment


class MovedVolume(msgspec.Struct, frozen=True, kw_only=True):
    """A volume of a pod that left a node; claim and pod are keys."""

    volume: PersistentVolume
    claim: str
    pod: str

    def __str__(self) -> str:
        """The volume, its claim and its pod."""
        return f"volume {self.volume.name} (claim {self.claim} of pod {self.pod})"


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """What is the matter with a volume, and what would clear it."""

    message: str
    remedy: str


def moved_claims(entries: Iterable[Entry]) -> dict[str, str]:
    """The pod that left by each of its claims, all as keys, from what a drain wrote down."""
    found: dict[str, str] = {}
    for entry in entries:
        pod = entry.detail.get("pod", "")
        namespace = pod.partition("/")[0]
        found |= {f"{namespace}/{claim}": pod for claim in entry.detail.get("claims", ())}
    return found


def moved_volumes(
    claims: Mapping[str, str], volumes: Iterable[PersistentVolume]
) -> tuple[MovedVolume, ...]:
    """The volumes behind claims.

    A volume names its claim for as long as it exists, also when the claim went with its pod.
    """
    return tuple(
        MovedVolume(volume=volume, claim=claim, pod=claims[claim])
        for volume in volumes
        if (reference := volume.spec.claim_ref) is not None
        and (claim := f"{reference.namespace}/{reference.name}") in claims
    )


def claims_of(pods: Iterable[Pod]) -> frozenset[str]:
    """The claims that pods use which did not run to their end."""
    return frozenset(
        f"{pod.namespace}/{claim}" for pod in pods if not pod.is_finished for claim in pod.claims
    )


def still_on(
    node: str, moved: Collection[MovedVolume], attachments: Iterable[VolumeAttachment]
) -> tuple[Trouble, ...]:
    """The moved volumes that a node still holds."""
    held = {each.volume: each for each in attachments if each.spec.node_name == node}
    return tuple(
        _held(each, held[each.volume.name], node) for each in moved if each.volume.name in held
    )


def not_attached(
    moved: Collection[MovedVolume], attachments: Collection[VolumeAttachment], pods: Iterable[Pod]
) -> tuple[Trouble, ...]:
    """The moved volumes that are not attached where a pod that uses them is."""
    by_claim = {each.claim: each for each in moved}
    by_place = {(each.volume, each.spec.node_name): each for each in attachments}
    troubles: list[Trouble] = []
    for pod in sorted(pods, key=lambda each: each.key):
        if pod.is_finished or pod.is_deleting or not pod.spec.node_name:
            continue
        for claim in pod.claims:
            found = by_claim.get(f"{pod.namespace}/{claim}")
            if found is None:
                continue
            there = by_place.get((found.volume.name, pod.spec.node_name))
            if there is None or not there.status.attached:
                troubles.append(_missing(found.volume.name, pod, there, attachments))
    return tuple(troubles)


def _held(moved: MovedVolume, attachment: VolumeAttachment, node: str) -> Trouble:
    failed = attachment.status.detach_error
    said = f": {failed.message}" if failed is not None and failed.message else ""
    asked = attachment.metadata.deletion_timestamp
    if asked is None:
        return Trouble(
            message=f"{moved} is still attached to {node}, and nobody has asked to detach it",
            remedy=f"see whether it is mounted there yet (status.volumesInUse of node {node}), and "
            "that kube-controller-manager runs",
        )
    return Trouble(
        message=f"{moved} is still attached to {node}; its detachment was asked for at "
        f"{asked:%T}Z{said}",
        remedy=f"see the attacher of {attachment.spec.attacher}: "
        f"kubectl describe volumeattachment {attachment.name}",
    )


def _missing(
    volume: str, pod: Pod, there: VolumeAttachment | None, others: Iterable[VolumeAttachment]
) -> Trouble:
    where = f"volume {volume} of pod {pod.key} is not attached to {pod.spec.node_name}"
    if there is not None:
        failed = there.status.attach_error
        said = f": {failed.message}" if failed is not None and failed.message else " yet"
        return Trouble(
            message=f"{where}{said}",
            remedy=f"see the attacher of {there.spec.attacher}: "
            f"kubectl describe volumeattachment {there.name}",
        )
    elsewhere = next((each.spec.node_name for each in others if each.volume == volume), "")
    held = f": {elsewhere} still holds it" if elsewhere else ": nobody has asked for it"
    return Trouble(
        message=f"{where}{held}",
        remedy=f"see what the pod waits for: kubectl -n {pod.namespace} describe pod {pod.name}",
    )
