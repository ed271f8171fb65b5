"""Approving the requests of kubelets for serving certificates: those that were vetted, alone."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum

import msgspec

from shipkeeper.access.certs.kinds import REQUESTS, CertificateRequest
from shipkeeper.access.certs.signing import KUBELET_SERVING, Vetted, vet
from shipkeeper.engine.report import Column, Report, Table
from shipkeeper.errors import UsageError
from shipkeeper.kube.errors import ConflictError, NotFoundError
from shipkeeper.kube.reader import Reader
from shipkeeper.kube.resources import NODES
from shipkeeper.kube.writer import Writer


class Outcome(StrEnum):
    """What becomes of a request."""

    APPROVED = "approved"
    REFUSED = "refused"
    GONE = "changed meanwhile"


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One request, what becomes of it, and why it is refused."""

    request: str
    node: str
    names: tuple[str, ...]
    outcome: Outcome
    obstacles: tuple[str, ...] = ()


async def approve(
    reader: Reader, writer: Writer | None, names: Sequence[str] = ()
) -> tuple[Decision, ...]:
    """Vet the pending requests (or those named), and approve what nothing forbids.

    Without a writer nothing is approved. UsageError if a name is of no pending request.
    """
    pending = _pending((await reader.list(REQUESTS)).items, names)
    nodes = {each.name: each for each in (await reader.list(NODES)).items}
    return tuple([await _decide(each, vet(each, nodes), writer) for each in pending])


def _pending(found: Sequence[CertificateRequest], names: Sequence[str]) -> list[CertificateRequest]:
    pending = {
        each.name: each
        for each in found
        if each.is_pending and each.spec.signer_name == KUBELET_SERVING
    }
    unknown = [name for name in names if name not in pending]
    if unknown:
        raise UsageError(
            f"{', '.join(unknown)}: no pending request of a kubelet for a serving certificate",
            reason="NoRequest",
            hint="list them: kubectl get certificatesigningrequests",
        )
    return [pending[name] for name in names] if names else list(pending.values())


async def _decide(request: CertificateRequest, vetted: Vetted, writer: Writer | None) -> Decision:
    outcome = Outcome.REFUSED if vetted.obstacles else Outcome.APPROVED
    if outcome is Outcome.APPROVED and writer is not None:
        outcome = await _approve(request, writer)
    return Decision(
        request=vetted.name,
        node=vetted.node,
        names=vetted.names,
        outcome=outcome,
        obstacles=vetted.obstacles,
    )


async def _approve(request: CertificateRequest, writer: Writer) -> Outcome:
    condition = {
        "type": "Approved",
        "status": "True",
        "reason": "VettedByShipkeeper",
        "message": "its node, addresses and names are those of the Node object",
        "lastUpdateTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    # Another request of the same name, or one that was decided meanwhile, is not what was vetted.
    same = {"uid": request.uid, "resourceVersion": request.metadata.resource_version}
    patch = {"metadata": same, "status": {"conditions": [condition]}}
    try:
        await writer.patch(REQUESTS, request.name, patch, subresource="approval")
    except (ConflictError, NotFoundError):
        return Outcome.GONE
    return Outcome.APPROVED


_COLUMNS = tuple(Column(title) for title in ("REQUEST", "NODE", "NAMES", "OUTCOME", "WHY"))


def decisions_report(found: Sequence[Decision]) -> Report:
    """A row for each request."""
    rows = tuple(
        (each.request, each.node, ",".join(each.names), each.outcome, "; ".join(each.obstacles))
        for each in found
    )
    return Report(
        value={"items": list(found)},
        body=(Table(_COLUMNS, rows),),
        names=tuple(f"certificatesigningrequest/{each.request}" for each in found),
    )
