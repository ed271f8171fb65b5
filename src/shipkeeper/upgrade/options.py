"""What the user may ask of an upgrade."""

from typing import Any

import msgspec

from shipkeeper.nodes.options import MaintenanceOptions


class BackupInto(msgspec.Struct, frozen=True, kw_only=True):
    """The repository that resources are backed up into, and the file of the key to add to it."""

    url: str
    endpoint: str = ""
    key: str = ""


class UpgradeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where to, by which versions, and how hosts get packages.

    `via` names the version of a minor where it is not to be the latest patch; with `pinned`,
    controllers are known to reach their own API server alone. `packages` is apt, dnf, or empty for
    what each host's system has. With `snapshot`, etcd is saved before anything is changed; so are
    resources into the repository `backup`, and `goes_without_backup` says that they need not be.
    `flags` are further ones for `kubeadm upgrade apply|node`. `nodes` says how nodes are drained,
    reached and put back.
    """

    target: str
    via: tuple[str, ...] = ()
    pinned: bool = False
    packages: str = ""
    snapshot: bool = True
    backup: BackupInto | None = None
    goes_without_backup: bool = False
    flags: tuple[str, ...] = ()
    nodes: MaintenanceOptions


def as_request(options: UpgradeOptions) -> dict[str, Any]:
    """What was asked for, as the journal keeps it."""
    return {
        "upgrade": msgspec.to_builtins(options),
        # The steps of nodes are those of a maintenance, and go by its options.
        "options": msgspec.to_builtins(options.nodes),
    }


def options_of(request: dict[str, Any]) -> UpgradeOptions:
    """What was asked for, read from the journal."""
    return msgspec.convert(request["upgrade"], UpgradeOptions)
