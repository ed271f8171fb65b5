"""Leases (coordination.k8s.io/v1): who holds a lock, and until when."""

from datetime import datetime

from shipkeeper.model.base import KubeStruct
from shipkeeper.model.meta import KubeObject


class LeaseSpec(KubeStruct, frozen=True, kw_only=True):
    """The holder and its last sign of life; the duration is in seconds."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: datetime | None = None
    renew_time: datetime | None = None
    lease_transitions: int | None = None


class Lease(KubeObject, frozen=True, kw_only=True):
    """A lock that its holder must renew."""

    spec: LeaseSpec = LeaseSpec()
