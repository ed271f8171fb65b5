"""Every kind of custom resource, in the order in which they are made."""

from typing import Any

from shipkeeper.operator.api.backups import BACKUP_KINDS
from shipkeeper.operator.api.kind import Kind
from shipkeeper.operator.api.maintenance import NODE_MAINTENANCE
from shipkeeper.operator.api.reports import ACCESS_REPORT, CERTIFICATE_REPORT
from shipkeeper.operator.api.restores import RESTORE
from shipkeeper.operator.api.upgrades import CLUSTER_UPGRADE
from shipkeeper.operator.api.windows import MAINTENANCE_WINDOW

KINDS: tuple[Kind[Any], ...] = (
    NODE_MAINTENANCE,
    MAINTENANCE_WINDOW,
    ACCESS_REPORT,
    CERTIFICATE_REPORT,
    *BACKUP_KINDS,
    RESTORE,
    CLUSTER_UPGRADE,
)
