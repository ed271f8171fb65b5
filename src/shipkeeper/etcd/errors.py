"""What can be wrong with a snapshot, a member of etcd, or a restore."""

from shipkeeper.errors import EXIT_FINDINGS, ShipkeeperError


class EtcdError(ShipkeeperError):
    """Something about etcd that its user has to know."""


class DamagedError(EtcdError):
    """A database file is not what etcd writes; the message says where."""

    exit_code = EXIT_FINDINGS

    def __init__(self, message: str, *, reason: str = "DamagedDatabase", hint: str = "") -> None:
        super().__init__(message, reason=reason, hint=hint or "take or choose another snapshot")
